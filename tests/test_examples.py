"""Each example runs, in a short form, as a person would run it."""

import os
import pathlib
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parents[1]


def run_example(name, *args):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *args],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": keras.config.backend()},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_drop_in_trains_to_the_same_accuracy_and_shows_the_layers():
    out = run_example("drop_in.py", "--epochs", "3")
    row = [line for line in out.splitlines() if "accuracy" in line][0]
    before, after = map(float, row.split()[-2:])
    assert before > 0.8 and abs(before - after) < 0.02
    if keras.config.backend() == "tensorflow":
        for key in ("grad_norm/first", "dead_relu/second"):
            assert key in out
