"""What a program says while it runs: `verbose` and `print_fn`, as Keras has them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from keras_resnets.errors import ConfigError
from keras_resnets.words import printable

__all__ = ["Printer"]


class Printer:
    """Prints lines of progress, or nothing.

    Args:
        print_fn: Called with every line; a `Printer` is taken as it is.
        verbose: 0 for nothing, 1 for lines and, on a terminal, a bar, 2 for lines alone.

    Raises:
        ConfigError: `verbose` is something else.

    Example:
        >>> Printer(print, verbose=0)("epoch 1/10")
        >>> Printer(print)("epoch 1/10")
        epoch 1/10
    """

    def __init__(self, print_fn: Callable[[str], None] = print, verbose: int = 1):
        if verbose not in (0, 1, 2):
            raise ConfigError(f"`verbose` must be 0, 1 or 2. Received: verbose={verbose!r}")
        inner = isinstance(print_fn, Printer)
        self.verbose = min(int(verbose), print_fn.verbose) if inner else int(verbose)
        self._print_fn = print_fn._print_fn if inner else print_fn

    def __call__(self, line: str) -> None:
        """Print a line, or lines; escape sequences in names are written out."""
        if self.verbose:
            self._print_fn(printable(line, lines=True))

    @property
    def shows_bar(self) -> bool:
        """Whether a bar may be drawn on standard output."""
        return self.verbose == 1 and sys.stdout is not None and sys.stdout.isatty()

    @contextlib.contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Give a function to report counts to, shown as a bar; None where no bar is.

        Args:
            what: What is counted: ``"images"``.

        Example:
            >>> with Printer().counting("images") as progress:
            ...     run_evaluate("model.keras", {"name": "cifar10"}, progress=progress)
        """
        if not self.shows_bar:
            yield None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), what, TimeRemainingColumn(), "left")
        with Progress(*columns, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
