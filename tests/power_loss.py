"""A power loss, imitated: what was not synced to the disk is gone.

Contents that were not synced are emptied; renames and removals whose folder was not synced have not
happened. The imitation is harsher than most file systems.
"""

import contextlib
import os
import stat
from pathlib import Path


class PowerLoss(BaseException):
    """The moment: nothing of the process runs afterwards."""


class Disk:
    """Watches a folder's files, and takes the power away at an operation.

    Args:
        folder: The folder; nothing outside it is watched.
        monkeypatch: As pytest gives it.
        spare: A folder on the same disk, for what may have to come back.
    """

    def __init__(self, folder, monkeypatch, spare):
        self.folder, self.spare = Path(folder).resolve(), Path(spare)
        self.operations, self.moment, self.is_off = 0, None, False
        self._synced, self._pending = set(), []
        self._own = {name: getattr(os, name) for name in ("fsync", "replace", "unlink")}
        for name in self._own:
            monkeypatch.setattr(os, name, getattr(self, f"_{name}"))

    @contextlib.contextmanager
    def until(self, moment):
        """Run a block, of which the power cuts the rest off at the operation of this number."""
        self.operations, self.moment, self.is_off = 0, moment, False
        self._synced, self._pending = {self._state(p) for p in self.folder.rglob("*")}, []
        with contextlib.suppress(PowerLoss):
            yield
        was_off, self.moment, self.is_off = self.is_off, None, False
        if was_off:
            self._lose()

    def _operate(self):
        if self.is_off:
            raise PowerLoss
        if self.operations == self.moment:
            self.is_off = True
            raise PowerLoss
        self.operations += 1

    def _state(self, path):
        found = os.stat(path)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _fsync(self, descriptor):
        self._operate()
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            kept = [p for p in self._pending if os.stat(p[1].parent).st_ino != found.st_ino]
            self._pending = kept
        self._synced.add((found.st_ino, found.st_size, found.st_mtime_ns))

    def _replace(self, there, name, **options):
        there, name = Path(there).resolve(), Path(name).resolve()
        if not name.is_relative_to(self.folder):
            return self._own["replace"](there, name, **options)
        self._operate()
        before = self._spare_copy(name)
        self._own["replace"](there, name, **options)
        self._pending.append((there, name, before))

    def _unlink(self, path, **options):
        absolute = Path(os.path.abspath(path))
        if options or not absolute.is_relative_to(self.folder) or not absolute.exists():
            return self._own["unlink"](path, **options)
        self._operate()
        before = self._spare_copy(absolute)
        self._own["unlink"](path)
        self._pending.append((None, absolute, before))

    def _spare_copy(self, path):
        if not path.is_file():
            return None
        copy = self.spare / f"{len(os.listdir(self.spare))}"
        os.link(path, copy)
        return copy

    def _lose(self):
        for there, name, before in reversed(self._pending):
            if there is not None:
                self._own["replace"](name, there)
            if before is not None:
                name.parent.mkdir(parents=True, exist_ok=True)
                self._own["replace"](before, name)
        for path in self.folder.rglob("*"):
            if path.is_file() and self._state(path) not in self._synced:
                path.write_bytes(b"")
