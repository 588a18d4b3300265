import keras
import pytest
from monitored_models import LAYERS, functional, mlp

from keras_ext import taps


def test_weight_groups_of_a_sequential_model_are_its_layers_in_order():
    groups = taps.weight_groups(mlp())
    assert [g.path for g in groups] == ["first", "norm", "second", "out"]
    assert [len(g.variables) for g in groups] == [2, 2, 2, 2]


def test_weight_groups_of_a_nested_model_join_names_and_share_layers():
    groups = taps.weight_groups(functional())
    assert [g.path for g in groups] == [
        "shared",
        "encoder/hidden",
        "plain",
        "out",
    ]


def test_frozen_layers_are_no_weight_groups():
    model = mlp()
    model.get_layer("first").trainable = False
    paths = [g.path for g in taps.weight_groups(model)]
    assert paths == ["norm", "second", "out"]


def test_equal_paths_are_told_apart():
    inner = [LAYERS.Dense(2, name="same") for _ in range(2)]

    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = inner

        def call(self, x):
            return self.b(self.a(x))

    model = Twins()
    model(keras.ops.ones((1, 2)))
    paths = [g.path for g in taps.weight_groups(model)]
    assert paths == ["same", "same_1"]


def test_a_recurrent_layer_and_its_cell_are_one():
    model = keras.Sequential(
        [keras.Input((4, 3)), LAYERS.LSTM(2, name="memory")]
    )
    groups = taps.weight_groups(model)
    assert [g.path for g in groups] == ["memory"]
    assert len(groups[0].variables) == 3


def test_relu_sites_are_found_by_what_they_are():
    sites = taps.relu_sites(functional())
    paths = [s.path for s in sites]
    assert paths[:2] == ["shared", "encoder/hidden"] or len(paths) == 3
    assert {"shared", "encoder/hidden"} < set(paths)
    assert len(sites) == 3


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.Dense(2, activation="relu"),
        LAYERS.Dense(2, activation="relu6"),
        LAYERS.Dense(2, activation=LAYERS.ReLU()),
        LAYERS.Activation("relu"),
        LAYERS.ReLU(),
        LAYERS.ReLU(max_value=6.0),
        LAYERS.Conv1D(2, 1, activation=keras.activations.relu),
    ],
)
def test_every_kind_of_relu_is_one_site(layer):
    model = keras.Sequential([keras.Input((3, 3)), layer])
    assert len(taps.relu_sites(model)) == 1


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.Dense(2),
        LAYERS.Dense(2, activation="tanh"),
        LAYERS.ReLU(negative_slope=0.1),
        LAYERS.LeakyReLU(),
        LAYERS.ELU(),
    ],
)
def test_what_has_no_dead_units_is_no_site(layer):
    model = keras.Sequential([keras.Input((3,)), layer])
    assert taps.relu_sites(model) == []


def test_units_are_the_last_axis_or_the_channels():
    model = keras.Sequential(
        [
            keras.Input((2, 8, 8)),
            LAYERS.Conv2D(
                4, 3, activation="relu", data_format="channels_first"
            ),
        ]
    )
    (site,) = taps.relu_sites(model)
    assert site.unit_axis(rank=4) == 1
    dense = keras.Sequential([keras.Input((5, 3)), LAYERS.ReLU()])
    (site,) = taps.relu_sites(dense)
    assert site.unit_axis(rank=3) == 2


def test_select_takes_names_paths_and_nested_models():
    groups = taps.weight_groups(functional())

    def chosen(*layers):
        return [g.path for g in taps.select(groups, layers)]

    assert chosen("out", "shared") == ["shared", "out"]
    assert chosen("encoder") == ["encoder/hidden"]
    assert chosen("hidden") == ["encoder/hidden"]
    assert chosen("encoder/hidden") == ["encoder/hidden"]


def test_select_says_which_layers_there_are():
    groups = taps.weight_groups(mlp())
    with pytest.raises(ValueError, match="'firts'.*'first', 'norm'"):
        taps.select(groups, ["firts"])
