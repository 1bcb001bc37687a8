"""The current folder is taken off Python's search path where this package is run as a command.

``python -m keras_resnets`` has it there first, by Python's own design, and would run a file
``random.py`` that lies beside the user's images. Imported first by the package, before anything
that is not part of the interpreter; ``keras-resnets`` and ``python -P -m`` have no such entry.
"""

import os
import sys

__all__ = []


def _is_our_command() -> bool:
    """Whether this package is being located for ``-m``, as Python's ``sys.argv[0]`` then says."""
    words = [word for word in sys.orig_argv[1:] if word in ("keras_resnets", "-mkeras_resnets")]
    return sys.argv[:1] == ["-m"] and bool(words) and not sys.flags.safe_path


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return ""


if _is_our_command() and sys.path[:1] in ([""], [_current_folder()]):
    del sys.path[0]
