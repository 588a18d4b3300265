"""Each example runs, in a short form, as a person would run it."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

pytestmark = [pytest.mark.backend("torch"), pytest.mark.slow]

ROOT = pathlib.Path(__file__).parents[2]


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


def test_doctor_names_the_causes_one_by_one_until_it_learns(tmp_path):
    figure = tmp_path / "figure.png"
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    out = run_example(
        "why_is_it_not_learning.py",
        *("--epochs", "4", "--figure", str(figure), "--mlflow", store),
    )
    rows = [line for line in out.splitlines() if "accuracy" in line]
    before, scaled, cured = (float(row.split()[-1]) for row in rows)
    assert max(before, scaled) < 0.2 and cured > 0.6
    found = [x for x in out.splitlines() if x.startswith("ERROR")]
    assert [x.split(" (")[0] for x in found] == [
        "ERROR: unscaled input",
        "ERROR: vanishing gradient",
    ]
    assert "The doctor found nothing wrong." in out
    assert figure.read_bytes().startswith(b"\x89PNG")
