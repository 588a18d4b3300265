"""`keras-ext search` over several processes, and torn trials that go on."""

import contextlib
import signal
import subprocess
import sys

import keras
import mlflow
import pytest

from keras_ext import cli
from keras_ext.cli.search.settings import Settings
from tuning.training import Training

# No backend takes part: once is enough.
pytestmark = [pytest.mark.slow, pytest.mark.backend("torch")]

# Where the tests run in the background, Ctrl-C may be ignored.
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys
from keras_ext.cli import main
sys.exit(main())
"""


@contextlib.contextmanager
def search(tmp_path, tracking_uri, *arguments):
    """Yield the process of a search; it is gone in the end."""
    store = ("--tracking-uri", tracking_uri, "--experiment", str(tmp_path))
    options = ("--epochs", "1", "--trials-per-process", "2")
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", START, "search", "wine"),
            *(*store, *options, *arguments),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def runs(tmp_path, tracking_uri):
    """Return name and status of each run, the search's first."""
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(str(tmp_path)).experiment_id
    found = client.search_runs(
        [experiment], order_by=["attributes.start_time ASC"]
    )
    (folder,) = (tmp_path / "searches").iterdir()
    assert found[0].info.run_name == folder.name
    return [(run.data.tags.get("trial_id"), run.info.status) for run in found]


def test_a_search_in_several_processes(tmp_path, tracking_uri):
    with search(tmp_path, tracking_uri, "--trials", "4") as process:
        out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert out.count(": 4 trials of 1 epoch,") == 1
    begun = [line for line in out.splitlines() if "activation=" in line]
    assert [line[:5] for line in begun[:4]] == [f"[{i}/4]" for i in "1234"]
    assert out.count("test accuracy") == 1
    assert runs(tmp_path, tracking_uri) == [
        (None, "FINISHED"),
        *((str(i), "FINISHED") for i in range(4)),
    ]


def test_ctrl_c_between_two_processes(tmp_path, tracking_uri):
    with search(tmp_path, tracking_uri, "--trials", "5") as process:
        for line in process.stdout:
            if line.startswith("[2/5]") and "took" in line:
                # The next process begins just now.
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=900)
    assert process.returncode == 130, err
    assert "Interrupted. Continue this search:" in out
    assert "Traceback" not in err or "ignored" in err
    (_, status), *trials = runs(tmp_path, tracking_uri)
    assert status == "KILLED"
    assert trials[:2] == [("0", "FINISHED"), ("1", "FINISHED")]
    assert not any(status == "RUNNING" for _, status in trials)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_a_torn_trial_goes_on(tmp_path, tracking_uri, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["search", "wine", "--experiment", str(tmp_path)]
    command += ["--tracking-uri", tracking_uri]
    new = ["--epochs", "4", "--trials", "1", "--resume-trials", "--seed", "4"]
    usual = Training.fit_arguments

    def fit_arguments(*args):
        options = usual(*args)
        options["callbacks"].append(Interrupt())
        return options | {"epochs": 4}

    with monkeypatch.context() as patch:
        patch.setattr(Training, "fit_arguments", fit_arguments)
        assert cli.main([*command, *new]) == 130
    (folder,) = (tmp_path / "searches").iterdir()
    assert Settings.load(folder).resume_trials
    with monkeypatch.context() as patch:
        patch.setattr(
            Training, "fit_arguments", lambda *a: usual(*a) | {"epochs": 4}
        )
        assert cli.main([*command, "--resume"]) == 0
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(str(tmp_path)).experiment_id
    torn, again = client.search_runs(
        [experiment],
        "tags.trial_id = '0'",
        order_by=["attributes.start_time ASC"],
    )
    assert torn.info.status == "KILLED"
    assert again.data.tags["resumed_at_epoch"] == "2"
    points = client.get_metric_history(again.info.run_id, "val_accuracy")
    assert [point.step for point in points] == list(range(4))
