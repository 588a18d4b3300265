"""`python -m tuning digits`: what it leaves, and how it ends."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import mlflow
import numpy as np
import pytest

from keras_ext.cli.search import main
from tests.fresh_process import run_python

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

SMALL = ["digits", "--trials", "2", "--epochs", "4"]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def archive(folder):
    rng = np.random.default_rng(0)
    path = folder / "images.npz"
    np.savez(
        path,
        x_train=rng.integers(0, 256, (120, 6, 6)),
        y_train=np.arange(120) % 4,
        x_test=rng.integers(0, 256, (20, 6, 6)),
        y_test=np.arange(20) % 4,
    )
    return path


BAD = {
    "no data set": ([], "dataset"),
    "unknown data set": (["letters"], "letters"),
    "no trials": (["digits", "--trials", "0"], "--trials"),
    "trials are no number": (["digits", "--trials", "many"], "'many'"),
    "no epochs": (["digits", "--epochs", "0"], "--epochs"),
    "negative seed": (["digits", "--seed", "-1"], "--seed"),
    "empty experiment": (["digits", "--experiment", ""], "--experiment"),
    "missing file": (["digits", "--data-file", "no.npz"], "no.npz"),
    "no archive": (["digits", "--data-file", "text.npz"], "text.npz"),
    "file as directory": (["digits", "--directory", "text.npz/a"], "text.npz"),
    "nothing to resume": (["digits", "--resume"], "resume"),
    "unknown option": (["digits", "--fast"], "--fast"),
    "unknown tuner": (["digits", "--tuner", "best"], "--tuner"),
    "unknown pruner": (["digits", "--pruner", "best"], "--pruner"),
    "one fold": (["digits", "--cross-validation", "1"], ">= 2"),
    "no time": (["digits", "--time-budget", "0s"], "--time-budget"),
    "time without a unit": (["digits", "--time-budget", "soon"], "'soon'"),
    "the loss as objective": (
        ["digits", "--objective", "val_loss"],
        "trials differ in their losses",
    ),
    "objective of numbers": (["digits", "--objective", "val_mae"], "val_mae"),
    "a target of the digits": (["digits", "--target", "x"], "--target"),
    "no table": (["csv"], "file"),
    "no target": (["csv", "text.npz"], "--target"),
    "missing table": (["csv", "no.csv", "--target", "x"], "no.csv"),
    "bad decimal": (["csv", "text.npz", "--decimal", ";"], "--decimal"),
    "bad order": (["csv", "text.npz", "--date-order", "dmy"], "--date-order"),
    "a decimal of digits": (["digits", "--decimal", ","], "--decimal"),
    "nobody answers": (
        ["digits", "--tracking-uri", "http://me:secret@127.0.0.1:9"],
        "127.0.0.1:9",
    ),
    "no folder for the database": (
        ["digits", "--tracking-uri", "sqlite:///no/folder/mlflow.db"],
        "no/folder",
    ),
}


@pytest.mark.parametrize(("arguments", "named"), BAD.values(), ids=BAD)
def test_bad_input(arguments, named, tmp_path, capsys):
    (tmp_path / "text.npz").write_text("no archive")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("python -m tuning: error: ")
    assert named in err and "secret" not in err
    assert os.listdir(tmp_path) == ["text.npz"]


def test_arguments_are_checked_before_the_slow_imports():
    code = (
        "import sys\n"
        "from keras_ext.cli.search import main\n"
        "assert main(['digits', '--data-file', 'no.npz']) == 2\n"
        "assert not {'keras_tuner', 'mlflow'} & set(sys.modules)\n"
    )
    run_python(code)


def test_a_search_of_other_images(tmp_path, tracking_uri, capsys):
    path = archive(tmp_path)
    store = ["--tracking-uri", tracking_uri, "--experiment", str(tmp_path)]
    arguments = ["digits", "--trials", "1", "--epochs", "1", *store]
    assert main([*arguments, "--data-file", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 trial of 1 epoch, seed 1, 100/20/20 images" in out
    accuracy = float(re.search(r"test accuracy ([\d.]+)%", out)[1]) / 100
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(str(tmp_path))
    (run,) = client.search_runs(
        [experiment.experiment_id], "params.tuner = 'RandomSearch'"
    )
    assert run.data.metrics["best/test_accuracy"] == pytest.approx(
        accuracy, abs=1e-4
    )
    (folder,) = (tmp_path / "searches").iterdir()
    settings = json.loads((folder / "search.json").read_text())
    assert settings["finished"] and settings["data_file"] == str(path)
    # A search that came to its end is not resumed.
    assert main([*arguments, "--resume"]) == 2
    assert "no unfinished search" in capsys.readouterr().err


def unfinished(folder, **changes):
    settings = {
        "dataset": "digits",
        "trials": 3,
        "epochs": 2,
        "seed": 0,
        "experiment": "digits",
        "tracking_uri": "http://***@127.0.0.1:9",
    } | changes
    folder.mkdir(parents=True)
    (folder / "search.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "3"], "began with --epochs 2"),
        (["--seed", "1"], "began with --seed 0"),
        (["--data-file", "x.npz"], "began with --data-file None"),
        (["--trials", "2"], "can only be raised"),
        (["--tuner", "grid"], "began with --tuner random"),
        (["--stop-unhealthy"], "began with --stop-unhealthy False"),
        (["--cross-validation", "3"], "began with --cross-validation None"),
        ([], "pass --tracking-uri again"),
        (["--tracking-uri", "http://other"], "cannot be resumed in"),
        (["--experiment", "other"], "no unfinished search"),
    ],
)
def test_what_a_resumed_search_refuses(arguments, message, tmp_path, capsys):
    unfinished(tmp_path / "searches" / "digits-20260101-000000")
    assert main(["digits", "--resume", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_changed_data_file_is_refused(tmp_path, capsys):
    path = archive(tmp_path)
    unfinished(
        tmp_path / "searches" / "digits-20260101-000000",
        data_file=str(path),
        data_digest="0" * 64,
    )
    assert main(["digits", "--resume"]) == 2
    assert "has changed" in capsys.readouterr().err


def test_the_newest_unfinished_search_is_resumed(tmp_path, capsys):
    searches = tmp_path / "searches"
    unfinished(searches / "digits-20260102-000000", epochs=7)
    unfinished(searches / "digits-20260101-000000")
    unfinished(searches / "digits-20260103-000000", finished=True)
    unfinished(searches / "other-20260104-000000", experiment="other")
    (searches / "broken").mkdir()
    (searches / "broken" / "search.json").write_text("{")
    assert main(["digits", "--resume", "--epochs", "1"]) == 2
    assert "began with --epochs 7" in capsys.readouterr().err


# Where the tests run in the background, Ctrl-C may be ignored.
START = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("tuning", run_name="__main__")
"""


def start(arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, tracking_uri):
    """Ctrl-C in the second of two trials, then `--resume`."""
    folder = tmp_path_factory.mktemp("interrupted")
    options = ["--tracking-uri", tracking_uri, "--experiment", "interrupted"]
    process = start([*SMALL, *options], folder)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("[2/2]"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("interrupted").experiment_id

    def runs():
        found = client.search_runs(
            [experiment], order_by=["attributes.start_time ASC"]
        )
        return [(run.info.run_name, run.info.status) for run in found]

    first = {
        "status": process.returncode,
        "out": "".join(lines) + out,
        "err": err,
        "runs": runs(),
    }
    process = start(["digits", "--resume", *options], folder)
    out, err = process.communicate(timeout=300)
    second = {
        "status": process.returncode,
        "out": out,
        "err": err,
        "runs": runs(),
    }
    searches = list(pathlib.Path(folder, "searches").iterdir())
    return first, second, searches


def test_an_interrupted_search_ends_its_runs(interrupted):
    first, _, (folder,) = interrupted
    assert first["status"] == 130
    # Python itself reports what it drops, if Ctrl-C meets a destructor.
    assert "Traceback" not in first["err"] or "ignored" in first["err"]
    assert first["runs"] == [
        (folder.name, "KILLED"),
        ("trial 0", "FINISHED"),
        ("trial 1", "KILLED"),
    ]


def test_an_interrupted_search_says_what_it_has(interrupted):
    out = interrupted[0]["out"]
    assert "python -m tuning digits --resume --experiment interrupted" in out
    rows = [line.split() for line in out.splitlines()]
    table = [row for row in rows if "KILLED" in row or "FINISHED" in row]
    assert [row[0] for row in table] == ["0", "1"]


def test_the_resumed_search_comes_to_its_end(interrupted):
    _, second, (folder,) = interrupted
    # Not a line of TensorFlow's log either.
    assert (second["status"], second["err"]) == (0, "")
    assert second["runs"] == [
        (folder.name, "FINISHED"),
        ("trial 0", "FINISHED"),
        ("trial 1", "KILLED"),
        ("trial 1", "FINISHED"),
    ]
    assert "test accuracy" in second["out"]
    assert "[1/2]" not in second["out"]
    assert "keras-ext ui --tracking-uri" in second["out"]
