"""Searches from the command line, small ones: what they leave and resume."""

import json
import re
import textwrap
import time

import mlflow
import numpy as np
import pytest

from keras_ext.cli import main
from keras_ext.tuners import TrackedTuner

pytestmark = pytest.mark.backend("torch")


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def search(tmp_path, tracking_uri, capsys):
    """Return a function that searches in an experiment of its own."""
    experiment = str(tmp_path)

    def run(*arguments):
        where = ("--tracking-uri", tracking_uri, "--experiment", experiment)
        status = main(["search", *map(str, arguments), *where])
        return status, capsys.readouterr().out

    return run


@pytest.fixture
def runs(tmp_path, tracking_uri):
    def read():
        client = mlflow.MlflowClient(tracking_uri)
        found = client.get_experiment_by_name(str(tmp_path))
        return client.search_runs(
            [found.experiment_id], order_by=["attributes.start_time ASC"]
        )

    return read


SMALL = ("--trials", 1, "--epochs", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wine", "regression", "cnn", "rnn"])
def test_a_ready_search(search, runs, name):
    status, out = search(name, *SMALL)
    assert status == 0
    metric = "mae" if name == "regression" else "accuracy"
    assert f"Best trial 0: validation {metric}" in out
    parent, trial = runs()
    assert f"best/test_{metric}" in parent.data.metrics
    assert trial.data.params["batch_size"] in ("16", "32", "64", "128")
    assert 1 < len(trial.data.params)
    assert f"val_{metric}" in trial.data.metrics


def table(folder):
    rng = np.random.default_rng(0)
    lines = ["a,b,price"]
    for a in rng.normal(size=60):
        lines.append(f"{a},{'xyz'[int(a > 0)]},{1000 * a + 5000}")
    path = folder / "data.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_table_of_ones_own(search, runs, tmp_path):
    path = table(tmp_path)
    status, out = search("csv", path, "--target", "price", *SMALL)
    assert status == 0
    assert "regression of 'price', inferred from its values" in out
    found = re.search(
        r"test mae ([\d.]+) \(([\d.]+) in the target's units", out
    )
    unit = re.search(r"of the target, ([\d.]+) each", out)
    assert float(found[1]) * float(unit[1]) == pytest.approx(
        float(found[2]), rel=1e-2
    )
    assert runs()[0].data.tags["dataset"] == str(path)


def test_classes_out_of_balance_and_new_rows(
    search, runs, tmp_path, monkeypatch
):
    lines = ["id;amount;day;sold"]
    for i in range(100):
        sold = "yes" if i % 10 == 0 else "no"
        lines.append(f"{i};{i * 37 % 101},5 €;{i % 28 + 1}.5.2024;{sold}")
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines))
    status, out = search(
        *("csv", path, "--target", "sold", *SMALL, "--drop", "day"),
        *("--objective", "val_balanced_accuracy"),
    )
    assert status == 0
    assert "classes out of balance: 90.0% of the rows are 'no'" in out
    assert "validation balanced accuracy" in out
    assert re.search(r"test accuracy .*% \(always the .*: 90.00%\)", out)
    parent, trial = runs()
    assert "best/test_balanced_accuracy" in parent.data.metrics
    assert "val_balanced_accuracy" in trial.data.metrics
    # What it prints predicts new rows, which have no target.
    code = out.partition("predict new rows:\n")[2]
    *code, last = textwrap.dedent(code).splitlines()
    (tmp_path / "new.csv").write_text("amount;sold\n3,5;\n\n4,5 €;\n")
    space = {}
    exec("\n".join([*code, f"result = {last}"]), space)
    assert space["result"].shape == (2, 1)
    assert space["how"]["classes"] == ["no", "yes"]


def test_with_all_that_ends_trials_and_folds(search, runs):
    status, out = search(
        "wine",
        *SMALL,
        "--stop-unhealthy",
        *("--pruner", "median", "--cross-validation", "2"),
        *("--objective", "val_crossentropy", "--tuner", "optuna"),
    )
    assert status == 0
    assert "142/36 wines to search in 2 folds/test" in out
    assert "validation crossentropy" in out
    parent, *others = runs()
    assert parent.data.params["stop_unhealthy"] == "True"
    assert "MedianPruner" in parent.data.params["pruner"]
    assert parent.data.params["tuner"] == "OptunaSearch"
    names = [run.info.run_name for run in others]
    assert names == ["trial 0", "fold 0", "fold 1"]


@pytest.fixture
def stopped_clock(monkeypatch):
    """Return a function after which the time budget is used up at once.

    A trial is let begin first.
    """
    usual = TrackedTuner.on_trial_end

    def end(tuner, trial):
        usual(tuner, trial)
        tuner._deadline = min(tuner._deadline, time.monotonic())

    def stop():
        monkeypatch.setattr(TrackedTuner, "on_trial_end", end)

    def go_on():
        monkeypatch.setattr(TrackedTuner, "on_trial_end", usual)

    return stop, go_on


@pytest.mark.slow
@pytest.mark.parametrize(
    "tuner", ["random", "grid", "bayesian", "hyperband", "optuna"]
)
def test_resumed_after_its_time(search, runs, stopped_clock, tmp_path, tuner):
    stop, go_on = stopped_clock
    stop()
    arguments = ("wine", "--trials", 3, "--epochs", 2, "--tuner", tuner)
    status, out = search(*arguments, "--time-budget", "1h")
    assert status == 0
    assert "The time is up. Continue this search:" in out
    assert "keras-ext search wine --resume" in out
    parent, first = runs()
    assert parent.info.status == "FINISHED"
    (settings,) = tmp_path.glob("searches/*/search.json")
    assert not json.loads(settings.read_text())["finished"]
    go_on()
    status, out = search("wine", "--resume")
    assert status == 0
    assert "[1/3]" not in out and "[3/3]" in out
    assert "test accuracy" in out
    seen = runs()
    assert [run.info.run_name for run in seen[1:]] == [
        "trial 0",
        "trial 1",
        "trial 2",
    ]
    assert {run.info.status for run in seen} == {"FINISHED"}
    assert seen[0].info.run_id == parent.info.run_id
    assert json.loads(settings.read_text())["finished"]
    assert search("wine", "--resume")[0] == 2


def test_time_that_is_up_after_the_last_trial(search, stopped_clock, runs):
    stopped_clock[0]()
    status, out = search("wine", *SMALL, "--time-budget", "1h")
    assert status == 0
    assert "test accuracy" in out and "time is up" not in out


def test_a_resumed_search_is_one_of_the_same_data(search, stopped_clock):
    stopped_clock[0]()
    search("wine", "--trials", 2, "--epochs", 1, "--time-budget", "1h")
    assert search("regression", "--resume")[0] == 2


@pytest.mark.parametrize("budget", [0, -1.0])
def test_bad_time_budgets(budget):
    with pytest.raises(ValueError, match="`time_budget` must be a positive"):
        from keras_ext.tuners import RandomSearch

        RandomSearch(lambda hp: None, "val_loss", time_budget=budget)
