"""Searches whose objective is not reported in each epoch."""

import keras
import keras_tuner
import numpy as np
import pytest

from tests.tuners import searching

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

EPOCHS = 5
FIT = {"epochs": EPOCHS, "validation_freq": 2, "verbose": 0}


def test_keras_tuner_fails_where_an_epoch_has_no_objective(tmp_path, capsys):
    tuner = keras_tuner.RandomSearch(
        searching.build, "val_loss", directory=str(tmp_path)
    )
    with pytest.raises(RuntimeError, match="KeyError: 'val_loss'"):
        searching.search(tuner, **FIT)


@pytest.mark.parametrize("resume_trials", [False, True])
def test_the_objective_in_every_other_epoch(
    resume_trials, tmp_path, tracking_uri
):
    tuner = searching.tuner(
        tmp_path,
        tracking_uri,
        max_trials=2,
        executions_per_trial=2,
        resume_trials=resume_trials,
        log_models=None,
    )
    searching.search(tuner, **FIT)
    trials = [tuner.oracle.trials[i] for i in tuner.oracle.start_order]
    below = searching.children(tuner)
    for trial, run in zip(trials, below, strict=True):
        executions = searching.children(tuner, run.info.run_id)
        seen = [losses(tuner, e, "val_loss") for e in executions]
        assert [list(points) for points in seen] == [[1, 3], [1, 3]]
        best = [min(points, key=points.get) for points in seen]
        assert trial.score == pytest.approx(
            np.mean([min(points.values()) for points in seen])
        )
        assert trial.best_step == int(np.mean(best))
        mean = losses(tuner, run, "val_loss")
        assert mean == pytest.approx(
            {epoch: (seen[0][epoch] + seen[1][epoch]) / 2 for epoch in (1, 3)}
        )
        assert list(losses(tuner, run, "loss")) == list(range(EPOCHS))


def test_the_checkpoint_is_that_of_an_epoch_with_the_objective(
    tmp_path, tracking_uri
):
    tuner = searching.tuner(
        tmp_path, tracking_uri, max_trials=1, log_models=None
    )
    searching.search(tuner, **FIT)
    (model,) = tuner.get_best_models()
    x, y = searching.images()
    # The last of five epochs is better, but nobody looked at it.
    score = model.evaluate(x[-24:], y[-24:], verbose=0)
    (trial,) = tuner.oracle.trials.values()
    assert score == pytest.approx(trial.score, rel=1e-4)


@pytest.mark.parametrize("resume_trials", [False, True])
def test_epochs_that_report_more_than_numbers(
    resume_trials, tmp_path, tracking_uri
):
    class Wordy(keras.Sequential):
        def train_step(self, data):
            logs = super().train_step(data)
            return {**logs, "none": None, "word": "abc", "list": np.ones(2)}

    def build(hp):
        model = searching.build(hp)
        wordy = Wordy(model.layers)
        wordy.compile("adam", "sparse_categorical_crossentropy")
        return wordy

    tuner = searching.tuner(
        tmp_path,
        tracking_uri,
        build,
        max_trials=2,
        resume_trials=resume_trials,
        log_models=None,
    )
    searching.search(tuner)
    trials = tuner.oracle.trials.values()
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    assert all(np.isfinite(trial.score) for trial in trials)


def losses(tuner, run, key):
    points = tuner.client.get_metric_history(run.info.run_id, key)
    return {point.step: point.value for point in points}
