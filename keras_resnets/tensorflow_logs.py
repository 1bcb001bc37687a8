"""TensorFlow's log lines at start-up, kept off the terminal of who uses this package.

TensorFlow writes some lines to file descriptor 2 while it is imported, before its own log level
counts. They are read from there, and what is not such a line is written again.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["loud_start", "quiet_start"]

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IW]\d{4} \d\d:\d\d:[\d.]+ +\d+ "  # of level "info" or "warning"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "  # the same before TensorFlow 2.20
    rb"|To enable the following instructions: "
)


def quiet_start() -> None:
    """Have TensorFlow start without log lines, whoever imports it from now on.

    Nothing happens where TensorFlow is imported already or where the user has set
    ``TF_CPP_MIN_LOG_LEVEL``. Errors are exceptions, which stay what they are. (Where TensorFlow
    kills the process while it is imported, its last words are lost: set the variable to read them.)
    """
    if "tensorflow" in sys.modules or _LEVEL in os.environ:
        return
    os.environ[_LEVEL] = "3"
    sys.meta_path.insert(0, _Finder())


def loud_start() -> None:
    """Take `quiet_start` back, for who wants to read TensorFlow's lines."""
    hidden = [finder for finder in sys.meta_path if isinstance(finder, _Finder)]
    for finder in hidden:
        sys.meta_path.remove(finder)
        del os.environ[_LEVEL]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow once, with a loader that filters what the import writes."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        with contextlib.suppress(ValueError):  # removed by another thread
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):  # get_source, get_resource_reader, is_package and the rest
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        with _without_chatter():
            self._loader.exec_module(module)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep start-up lines off file descriptor 2; everything else arrives at the end."""
    try:
        terminal = os.dup(2)
    except OSError:  # started without a standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)
