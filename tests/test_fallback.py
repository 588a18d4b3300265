import importlib

import keras
import pytest

import keras_ext

ROOMS = (
    "activations",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
)


@pytest.mark.parametrize("room", ROOMS)
def test_a_swapped_import_takes_nothing_away(room):
    module = importlib.import_module(f"keras_ext.{room}")
    theirs = getattr(keras, room)
    for name in dir(theirs):
        if name.startswith("_"):
            continue
        ours, builtin = getattr(module, name), getattr(theirs, name)
        is_class = isinstance(builtin, type)
        assert ours is builtin or not is_class or issubclass(ours, builtin)


def test_what_has_no_counterpart_is_keras_own():
    assert keras_ext.layers.Conv2D is keras.layers.Conv2D
    assert keras_ext.optimizers.schedules is keras.optimizers.schedules
    assert keras_ext.losses.CosineSimilarity is keras.losses.CosineSimilarity


def test_aliases_lead_to_the_counterpart():
    assert keras_ext.regularizers.l2 is keras_ext.regularizers.L2
    assert keras_ext.initializers.he_normal is keras_ext.initializers.HeNormal
    assert keras_ext.activations.silu is keras_ext.activations.swish


@pytest.mark.parametrize("room", ROOMS)
def test_unknown_names(room):
    module = importlib.import_module(f"keras_ext.{room}")
    with pytest.raises(AttributeError, match="keras.* has an attribute 'Nix'"):
        _ = module.Nix
    assert not hasattr(module, "_private")
    assert not hasattr(module, "__path_of_nothing__")
