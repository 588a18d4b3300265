"""Keeping the libraries' start-up noise from the terminal."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

_VARIABLE = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def starting_quietly() -> Iterator[None]:
    """Hold back what libraries write to stderr; show it if they fail.

    TensorFlow writes some lines before it looks at any setting. Who has set
    `TF_CPP_MIN_LOG_LEVEL` sees them.
    """
    if _VARIABLE in os.environ:
        yield
        return
    os.environ[_VARIABLE] = "3"
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
