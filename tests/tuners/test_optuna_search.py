"""OptunaSearch as a tuner: it trains, tracks and resumes."""

import keras
import keras_tuner
import pytest

from keras_ext import tuners
from tests.tuners import searching

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")


def build(hp):
    # Equal values have equal scores.
    keras.utils.set_random_seed(1)
    return searching.build(hp)


def tuner(folder, tracking_uri, **options):
    defaults = {
        "objective": "val_loss",
        "max_trials": 5,
        "seed": 0,
        "directory": str(folder),
        "project_name": "search",
        "experiment": f"search in {folder}",
        "tracking_uri": tracking_uri,
        "n_startup_trials": 2,
    }
    return tuners.OptunaSearch(build, **(defaults | options))


def values_of(search):
    return [
        search.oracle.trials[trial_id].hyperparameters.values
        for trial_id in search.oracle.start_order
    ]


@pytest.mark.slow
def test_a_search_is_tracked_and_resumed_as_if_undisturbed(
    tmp_path, tracking_uri
):
    whole = tuner(tmp_path / "whole", tracking_uri)
    searching.search(whole, epochs=1)
    params = searching.parent(whole).data.params
    assert params["tuner"] == "OptunaSearch"
    assert params["sampler"] == "tpe" and params["seed"] == "0"
    assert searching.statuses(whole) == [
        (str(number), "FINISHED") for number in range(5)
    ]

    part = tuner(tmp_path / "part", tracking_uri, max_trials=3)
    searching.search(part, epochs=1)
    rest = tuner(tmp_path / "part", tracking_uri)
    searching.search(rest, epochs=1)
    assert rest.run_id == part.run_id
    # What the models scored decides from the third trial on.
    assert values_of(rest) == values_of(whole)
    assert len(values_of(rest)) == 5


def test_conditional_hyperparameters_are_there_where_they_are_active(
    tmp_path, tracking_uri
):
    search = tuner(tmp_path, tracking_uri)
    searching.search(search, epochs=1)
    lasts = set()
    for values in values_of(search):
        assert ("slope" in values) == (values["last"] == "tanh")
        lasts.add(values["last"])
    assert lasts == {"tanh", "linear"}


def test_the_builtin_s_arguments_are_taken(tmp_path):
    search = tuners.OptunaSearch(
        searching.build,
        keras_tuner.Objective("val_loss", "min"),
        5,
        directory=tmp_path,
        project_name="search",
        max_retries_per_trial=2,
    )
    assert isinstance(search, keras_tuner.Tuner)
    assert search.oracle.max_trials == 5
    assert search.oracle.max_retries_per_trial == 2
