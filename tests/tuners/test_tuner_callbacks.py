"""The hooks of a tuner during a training."""

import collections

import keras
import keras_tuner
import pytest

from keras_ext import tuners
from keras_ext.tuners.trial_callbacks import patched
from tests.tuners import searching

STEPS = 72 // 24


class Counting(tuners.RandomSearch):
    """Overrides the hooks that keras-tuner documents."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = collections.Counter()

    def on_batch_begin(self, trial, model, batch, logs):
        self.calls["batch begins"] += model.built

    def on_epoch_end(self, trial, model, epoch, logs=None):
        super().on_epoch_end(trial, model, epoch, logs)
        self.calls["epoch ends"] += "val_loss" in logs


class CountingEpochs(Counting):
    """Overrides no hook of batches."""

    on_batch_begin = keras_tuner.Tuner.on_batch_begin


@pytest.mark.backend("torch")
@pytest.mark.parametrize("kind", [Counting, CountingEpochs])
def test_hooks_that_are_overridden_are_called(kind, tmp_path, tracking_uri):
    tuner = searching.tuner(
        tmp_path, tracking_uri, kind=kind, max_trials=1, log_models=None
    )
    searching.search(tuner)
    assert tuner.calls["epoch ends"] == searching.EPOCHS
    batches = searching.EPOCHS * STEPS if kind is Counting else 0
    assert tuner.calls["batch begins"] == batches


@pytest.mark.backend("jax")
def test_a_step_does_not_bring_the_model_up_to_date(
    tmp_path, tracking_uri, monkeypatch
):
    times = collections.Counter()

    def counted(self, original=keras.Model.jax_state_sync):
        times["now"] += 1
        original(self)

    monkeypatch.setattr(keras.Model, "jax_state_sync", counted)

    def in_a_search(kind, batch_size, **options):
        monkeypatch.setattr(
            kind, "_configure_tensorboard_dir", lambda *_, **__: None
        )
        tuner = kind(
            searching.build,
            "val_loss",
            max_trials=1,
            directory=str(tmp_path / f"{kind.__module__} {batch_size}"),
            **options,
        )
        times.clear()
        searching.search(tuner, batch_size=batch_size, verbose=0)
        return times["now"]

    def for_more_steps(kind, **options):
        few, many = (in_a_search(kind, size, **options) for size in (24, 4))
        return many - few

    added = searching.EPOCHS * (72 // 4 - STEPS)
    assert for_more_steps(keras_tuner.RandomSearch) >= added
    own = {"tracking_uri": tracking_uri, "log_models": None}
    assert for_more_steps(tuners.RandomSearch, **own) == 0


@pytest.mark.backend("torch")
def test_a_callback_of_the_same_name_is_left_as_it_is():
    own = type("TunerCallback", (keras.callbacks.Callback,), {})()
    assert patched(own) is own
