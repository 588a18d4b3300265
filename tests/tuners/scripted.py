"""Searches whose trials get their scores from a script."""

import keras
import keras_tuner
import numpy as np

from keras_ext import tuners
from tests.tuners import searching

NAN = float("nan")


class InOrder(keras_tuner.Oracle):
    """Tries the values of the hyperparameter `kind` one after the other."""

    def __init__(self, kinds, objective, **options):
        super().__init__(objective, max_trials=len(kinds), **options)
        self.kinds = kinds

    def populate_space(self, trial_id):
        kind = self.kinds[len(self.start_order)]
        return {"status": "RUNNING", "values": {"kind": kind}}


class Script(keras.callbacks.Callback):
    """Writes the `points` of each epoch into the logs, by the model's name.

    Args:
        scores: For each name the scores of its epochs, or of each fold or
            execution a list of them.
    """

    def __init__(self, scores):
        super().__init__()
        self.scores = scores
        self.times = {}

    def __deepcopy__(self, memo):
        # keras-tuner copies callbacks; this one counts.
        return self

    def on_train_begin(self, logs=None):
        name = self.model.name
        self.times[name] = self.times.get(name, -1) + 1

    def on_epoch_end(self, epoch, logs=None):
        scores = self.scores[self.model.name]
        if isinstance(scores[0], list):
            scores = scores[self.times[self.model.name]]
        if epoch < len(scores) and scores[epoch] is not None:
            logs["points"] = scores[epoch]


def build(hp):
    """Return a tiny model; its name is the kind of the trial."""
    kind = hp.Choice("kind", ["a", "b", "c", "d", "e", "broken"])
    rate = NAN if kind == "broken" else 0.1
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(2, "softmax")], name=kind
    )
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def tuner(folder, tracking_uri, kinds, direction="max", oracle=None, **options):
    objective = keras_tuner.Objective("points", direction)
    defaults = {
        "hypermodel": build,
        "directory": str(folder),
        "project_name": "search",
        "experiment": f"search in {folder}",
        "tracking_uri": tracking_uri,
    }
    return tuners.TrackedTuner(
        oracle or InOrder(list(kinds), objective), **(defaults | options)
    )


def search(tuner, scores, epochs=4, **options):
    x, y = searching.images()
    script = Script(scores)
    defaults = {"epochs": epochs, "batch_size": 48, "verbose": 0}
    tuner.search(x, y, callbacks=[script], **(defaults | options))
    return script


def scores(tuner):
    """Return each trial's status for the oracle, its score and best epoch."""
    trials = [tuner.oracle.trials[i] for i in tuner.oracle.start_order]
    return [
        (
            trial.status,
            None if trial.score is None else float(np.round(trial.score, 6)),
            trial.best_step,
        )
        for trial in trials
    ]


def endings(tuner, parent_id=None):
    """Return the status and the reason of each run below a run."""
    return [
        (run.info.status, run.data.tags.get("reason"))
        for run in searching.children(tuner, parent_id)
    ]
