"""Searches that are begun again with another space of hyperparameters."""

import warnings

import keras
import keras_tuner
import pytest

from keras_ext import tuners
from tests.tuners import searching

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


def builder(ask):
    def build(hp):
        ask(hp)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    return build


def small(hp):
    hp.Int("width", 2, 8)
    hp.Float("rate", 1e-3, 1e-1, sampling="log")


def tuner(folder, tracking_uri, ask, max_trials, kind=tuners.RandomSearch):
    return searching.tuner(
        folder,
        tracking_uri,
        builder(ask),
        kind,
        max_trials=max_trials,
        log_models=None,
    )


def begun(folder, tracking_uri, ask, kind=tuners.RandomSearch, trials=2):
    search = tuner(folder, tracking_uri, ask, trials, kind)
    searching.search(search, epochs=1, verbose=0)


def values(search):
    trials = [search.oracle.trials[i] for i in search.oracle.start_order]
    return [trial.hyperparameters.values for trial in trials]


def wide(hp):
    hp.Int("width", 2, 800)
    hp.Choice("activation", ["relu", "tanh"])


@pytest.mark.parametrize("kind", [tuners.RandomSearch, tuners.OptunaSearch])
def test_another_space_is_adopted_with_a_warning(kind, tmp_path, tracking_uri):
    begun(tmp_path, tracking_uri, small, kind)
    with pytest.warns(UserWarning, match="in another space") as caught:
        search = tuner(tmp_path, tracking_uri, wide, 8, kind)
    (message,) = [str(warning.message) for warning in caught]
    assert "added: activation;" in message
    assert "drawn without effect: rate;" in message
    assert "changed: width (was Int(min_value=2, max_value=8, " in message
    searching.search(search, epochs=1, verbose=0)
    drawn = values(search)
    assert max(v["width"] for v in drawn[:2]) <= 8
    assert max(v["width"] for v in drawn) > 8
    assert all("activation" in v for v in drawn[2:])
    # The rest is the search's own space now.
    with pytest.warns(UserWarning, match="in: drawn without effect: rate.$"):
        tuner(tmp_path, tracking_uri, wide, 8, kind)


def test_keras_tuner_draws_from_the_old_range_without_a_warning(
    tmp_path, capsys
):
    def make(ask):
        return keras_tuner.RandomSearch(
            builder(ask), "val_loss", 8, seed=1, directory=str(tmp_path)
        )

    make(small).save()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = make(wide)
    space = search.oracle.get_space()
    drawn = [search.oracle.create_trial(str(i)) for i in range(8)]
    assert all(t.hyperparameters.values["width"] <= 8 for t in drawn)
    assert "activation" not in space


def narrow(hp):
    hp.Int("width", 9, 12)


def other_steps(hp):
    hp.Int("width", 1, 9, step=20)


def other_type(hp):
    hp.Choice("width", ["narrow", "wide"])


@pytest.mark.parametrize("ask", [narrow, other_steps, other_type])
def test_a_range_that_the_trials_contradict(ask, tmp_path, tracking_uri):
    begun(tmp_path, tracking_uri, small)
    with pytest.raises(ValueError, match="Received: width as .* trial 0 has"):
        tuner(tmp_path, tracking_uri, ask, 3)


def layered(hp):
    for layer in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{layer}", 2, 8)
    hp.Choice("last", ["tanh", "linear"])
    with hp.conditional_scope("last", ["linear"]):
        hp.Float("slope", 0.1, 1.0)


class OwnFit(keras_tuner.HyperModel):
    build = staticmethod(builder(small))

    def fit(self, hp, model, *args, **kwargs):
        kwargs["batch_size"] = hp.Int("batch_size", 24, 48)
        return model.fit(*args, **kwargs)


def test_the_same_space_is_no_other_one(tmp_path, tracking_uri):
    def make(hypermodel, name):
        return searching.tuner(
            tmp_path, tracking_uri, hypermodel, project_name=name, max_trials=5
        )

    for name, hypermodel in (("a", builder(layered)), ("b", OwnFit())):
        search = make(hypermodel, name)
        searching.search(search, epochs=1, verbose=0)
        late = {"a": "units_2", "b": "batch_size"}[name]
        assert any(late in v for v in values(search))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(hypermodel, name)
