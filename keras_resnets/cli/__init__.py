"""The command ``keras-resnets``: a thin shell over the package's functions.

Nothing heavy is imported until a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
import warnings

import click

from keras_resnets._version import __version__
from keras_resnets.cli.artefacts import convert, export
from keras_resnets.cli.checking import check_data
from keras_resnets.cli.compare import compare
from keras_resnets.cli.evaluating import evaluate, predict
from keras_resnets.cli.failures import BUG, failure
from keras_resnets.cli.networks import describe, list_
from keras_resnets.cli.searching import search
from keras_resnets.cli.showing import show_data
from keras_resnets.cli.training import recipes, train
from keras_resnets.errors import nearest
from keras_resnets.scratch import command_scratch
from keras_resnets.tensorflow_logs import loud_start
from keras_resnets.words import printable

__all__ = ["cli", "main"]

_RESUMING = ("search", "train")
"""Commands that resume in their run folder."""


class _Group(click.Group):
    """A group that names the nearest command to an unknown one, and may be interrupted."""

    def resolve_command(self, ctx, args):
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            known = nearest(args[0], names) or f"; commands: {', '.join(names)}"
            raise click.UsageError(f"no command is named {args[0]!r}{known}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would add an empty line
            _silence_threads()
            raise _Interrupted(ctx.invoked_subcommand) from None


class _Interrupted(click.Abort):
    """Ctrl-C in a command."""

    def __init__(self, command: str | None):
        super().__init__()
        self.message = "interrupted"
        if command in _RESUMING:
            self.message += "; the same command resumes where it was"


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="keras-resnets")
@click.option("--verbose", is_flag=True, help="Show the messages of TensorFlow and its friends.")
@click.pass_context
def cli(context, verbose):
    """Search, train, describe and export residual networks."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    context.with_resource(command_scratch())
    if verbose:
        loud_start()
    else:
        context.with_resource(_silenced_libraries())


_COMMANDS = (
    search,
    train,
    recipes,
    compare,
    list_,
    describe,
    show_data,
    check_data,
    evaluate,
    predict,
    export,
    convert,
)
for _command in _COMMANDS:
    cli.add_command(_command)


@contextlib.contextmanager
def _silenced_libraries():
    """Keep TensorFlow's messages off the terminal; ours, and Python's errors, stay.

    TensorFlow writes to file descriptor 2 before its own log level counts, and threads of its own
    do so later.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    disabled, shown = logging.root.manager.disable, sys.stderr
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        stack.callback(logging.disable, disabled)
        terminal = _spare_stderr()
        if terminal is not None:
            stack.callback(_restore_stderr, terminal, shown)
        yield


def _spare_stderr() -> int | None:
    """Point file descriptor 2 nowhere and Python's stderr at where it pointed."""
    try:
        terminal = os.dup(2)
    except OSError:
        return None  # started without a standard error: there is nothing to keep clean
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return terminal


def _restore_stderr(terminal: int, shown) -> None:
    sys.stderr.close()
    sys.stderr = shown
    os.dup2(terminal, 2)
    os.close(terminal)


def main(args: list[str] | None = None) -> None:
    """Run the command; wrong input is one line on standard error and exit code 2.

    What files, disks and data do is a line too, with exit code 1; a bug keeps its traceback.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # for a terminal that knows no squares
    try:
        code = cli.main(args=args, prog_name="keras-resnets", standalone_mode=False)
    except click.Abort as error:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # the terminal wrote ^C
        _complain(getattr(error, "message", "interrupted"))
        _end_with_threads(130)
        code = 130
    except BrokenPipeError:  # who read our output has read enough
        _forget_output()
        code = 1
    except Exception as error:
        code = _answer(error)
    sys.exit(code)


def _answer(error: Exception) -> int:
    """Say what went wrong; return the exit code."""
    known = failure(error)
    if known is None:
        traceback.print_exc()
        known = 1, BUG
    code, message = known
    _complain(message)
    return code


def _forget_output() -> None:
    """Let Python end without a complaint about a standard output that nobody reads."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _silence_threads() -> None:
    """Keep threads that still work for an interrupted command from writing to closed streams."""
    logging.raiseExceptions = False
    threading.excepthook = lambda arguments: None


def _end_with_threads(code: int) -> None:
    """End the process at once where threads live that Python would wait for: downloads."""
    waiting = [t for t in threading.enumerate() if t is not threading.main_thread()]
    if any(not thread.daemon for thread in waiting):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _complain(message: str) -> None:
    print("keras-resnets: " + printable(" ".join(message.split())), file=sys.stderr)
