import contextlib
import io
import math
import os
import time

import pytest

from keras_ext.tuners.progress import LiveLine, Progress

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

LOGS = {
    "val_accuracy": 0.9,
    "grad_norm/dense_1": 1e-3,
    "grad_norm/dense_2": 0.5,
    "grad_norm/global": 1e-9,
    "dead_relu/relu_1": 0.25,
    "dead_relu/relu_2": 0.75,
    "dead_relu/global": 1.0,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def in_a_terminal(test):
    """Run a test with a terminal of its own as standard output."""

    def run():
        terminal = Terminal()
        # Not in a fixture: pytest gives each phase a standard output.
        with contextlib.redirect_stdout(terminal):
            test(terminal)

    return run


@in_a_terminal
def test_the_line_of_a_trial(terminal):
    progress = Progress(2, live=True)
    progress.begin(1, "0", {})
    line = LiveLine(progress, "val_accuracy")
    line.set_params({"epochs": 4})
    line.on_train_begin()
    line.on_epoch_end(1, LOGS)
    line_text = terminal.getvalue().rpartition("\r\x1b[2K")[2]
    assert line_text.startswith("  epoch 2/4 | val_accuracy 0.9000 | ")
    assert "smallest gradient norm 1.0e-03 in dense_1" in line_text
    assert "dead ReLU 75% in relu_2" in line_text
    assert "left ~0:00" in line_text
    progress.end("val_accuracy 0.9", 1.0, "0.9000")
    # The line is wiped before the trial's last one is printed.
    assert terminal.getvalue().rpartition("\x1b[2K")[2].startswith("[1/2]")
    progress.begin(2, "1", {})
    line.on_train_begin()
    assert "| best 0.9000" in terminal.getvalue().splitlines()[-1]
    progress.close()


@in_a_terminal
def test_it_fits_into_the_terminal(terminal):
    os.environ["COLUMNS"] = "40"
    progress = Progress(2, live=True)
    progress.epoch(1, 4, "val_accuracy", LOGS)
    line = terminal.getvalue().rpartition("\x1b[?25l")[2]
    assert len(line) == 40 and line.endswith("…")
    progress.close()


def test_nothing_of_it_in_a_pipe(capsys):
    assert not Progress(2, live=True).live
    assert not Progress(2, live=False).live
    assert capsys.readouterr().out == ""


@in_a_terminal
def test_nothing_of_it_where_nothing_is_shown(terminal):
    assert not Progress(2, shown=False, live=True).live


def test_the_time_left_is_that_of_the_budget(capsys):
    progress = Progress(100, deadline=time.monotonic() + 65.5)
    progress.begin(1, "0", {})
    progress.end("done", 60.0)
    assert "left ~1:05" in capsys.readouterr().out
    progress = Progress(100, deadline=math.inf)
    progress.begin(1, "0", {})
    progress.end("done", 60.0)
    assert "left ~1:39:00" in capsys.readouterr().out
