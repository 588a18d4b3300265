"""Searches whose process is killed with SIGKILL, and begun again."""

import json
import pathlib
import signal
import subprocess
import sys

import mlflow
import numpy as np
import pytest

from tests.tuners import killed_search

pytestmark = pytest.mark.backend("torch")

SCRIPT = pathlib.Path(__file__).parent / "killed_search.py"


def run(
    folder, store, moment="never", resume_trials=False, kind="RandomSearch"
):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, SCRIPT, folder, store, moment]
    return subprocess.run(
        [*map(str, command), str(resume_trials), kind],
        capture_output=True,
        text=True,
        timeout=300,
    )


def kill(folder, store, moment, **options):
    ended = run(folder, store, moment, **options)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def finish(folder, store, **options):
    ended = run(folder, store, **options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()[-1]


def epochs(folder):
    """Return trial, epoch and loss of each epoch that was trained."""
    return np.loadtxt(folder / "epochs.txt").tolist()


def runs(store, run_id):
    """Return the search's run, and those of its trials."""
    client = mlflow.MlflowClient(tracking_uri=store)
    parent = client.get_run(run_id)
    experiment = parent.info.experiment_id
    below = client.search_runs(
        [experiment],
        f"tags.`mlflow.parentRunId` = '{run_id}'",
        order_by=["attributes.start_time ASC"],
    )
    everything = client.search_runs([experiment])
    assert len(everything) == len(below) + 1  # none is lost
    return parent, below


def attempts(trials):
    """Return (trial, attempt, status) of each run."""
    return [
        (
            int(t.data.tags["trial_id"]),
            int(t.data.tags["attempt"]),
            t.info.status,
        )
        for t in trials
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tracking_uri):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, tracking_uri)
    return epochs(folder)


@pytest.mark.parametrize(
    "moment, torn",
    [
        ("0:0:batch", 0),
        ("1:-:ending", 1),
        ("1:-:ended", None),
    ],
)
@pytest.mark.slow
def test_killed_search_continues(
    moment, torn, tmp_path, tracking_uri, undisturbed
):
    kill(tmp_path, tracking_uri, moment)
    parent, trials = runs(tracking_uri, finish(tmp_path, tracking_uri))
    assert parent.info.status == "FINISHED"
    expected = [(0, 1), (1, 1), (2, 1)]
    statuses = {(i, 1): "FINISHED" for i in range(3)}
    if torn is not None:
        expected.append((torn, 2))
        statuses |= {(torn, 1): "KILLED", (torn, 2): "FINISHED"}
    assert sorted(attempts(trials)) == sorted(
        (*key, statuses[key]) for key in expected
    )
    # Each finished trial was trained once from its first epoch to its last,
    # and came to what it would have come to.
    trained = epochs(tmp_path)
    last = {(trial, epoch): loss for trial, epoch, loss in trained}
    assert last == pytest.approx(
        {(trial, epoch): loss for trial, epoch, loss in undisturbed}
    )
    repeated = [trial for trial, epoch, _ in trained if epoch == 0]
    twice = {i for i in repeated if repeated.count(i) > 1}
    assert twice <= ({torn} if torn is not None else set())


@pytest.mark.slow
def test_killed_trial_continues_after_its_last_epoch(
    tmp_path, tracking_uri, undisturbed
):
    options, moment = {"resume_trials": True}, "1:1:batch"
    kill(tmp_path, tracking_uri, moment, **options)
    run_id = finish(tmp_path, tracking_uri, **options)
    trained = epochs(tmp_path)
    # No epoch was trained twice, and the optimizer's state was there.
    np.testing.assert_allclose(trained, undisturbed, rtol=1e-5)
    parent, trials = runs(tracking_uri, run_id)
    torn, again = [
        t for t in trials if t.data.tags["trial_id"].endswith(moment[0])
    ]
    assert (torn.info.status, again.info.status) == ("KILLED", "FINISHED")
    client = mlflow.MlflowClient(tracking_uri=tracking_uri)
    points = client.get_metric_history(again.info.run_id, "val_loss")
    trial = int(moment[0])
    assert {p.step: p.value for p in points} == pytest.approx(
        {e: loss for t, e, loss in undisturbed if t == trial}
    )
    state = json.loads(
        (tmp_path / "search" / f"trial_{trial}" / "trial.json").read_text()
    )
    losses = [loss for t, _, loss in undisturbed if t == trial]
    assert state["score"] == pytest.approx(min(losses))
    assert state["best_step"] == losses.index(min(losses))
    assert not list(tmp_path.glob("search/*/resume_*.weights.h5"))


@pytest.mark.slow
def test_killed_hyperband_continues(tmp_path, tracking_uri):
    options = {"kind": "Hyperband"}
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    finish(whole, tracking_uri, **options)
    kill(torn, tracking_uri, "3:1:begin", **options)
    finish(torn, tracking_uri, **options)
    np.testing.assert_allclose(
        sorted(epochs(torn)), sorted(epochs(whole)), rtol=1e-5
    )


@pytest.mark.slow
def test_killed_optuna_search_continues(tmp_path, tracking_uri):
    options = {"kind": "OptunaSearch"}
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    killed_search.main(whole, tracking_uri, "never", "False", "OptunaSearch")
    kill(torn, tracking_uri, "2:1:batch", **options)
    parent, trials = runs(tracking_uri, finish(torn, tracking_uri, **options))
    assert parent.info.status == "FINISHED"
    assert sorted(attempts(trials)) == [
        (0, 1, "FINISHED"),
        (1, 1, "FINISHED"),
        (2, 1, "KILLED"),
        (2, 2, "FINISHED"),
        (3, 1, "FINISHED"),
    ]
    # Its model suggests what it would have suggested undisturbed.
    twice = epochs(torn)
    assert [epoch[:2] for epoch in twice].count([2, 0]) == 2
    once = {(trial, epoch): loss for trial, epoch, loss in twice}
    assert once == pytest.approx({(t, e): loss for t, e, loss in epochs(whole)})
