"""Regularizers: penalties, gradients, dtypes, configs."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext import regularizers
from tests.fresh_process import run_in_loader
from tests.numerics import EXAMPLES, float64, gradient, numpy64

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L1", {"l1": 0.0}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1}),
    ("L1L2", {"l2": 0.2}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
]
W = np.array([[1.0, -2.0, 0.0], [0.5, -0.25, 3.0]], "float32")


def make(name, arguments, /):
    return getattr(regularizers, name)(**arguments)


def make_builtin(name, arguments, /):
    return getattr(keras.regularizers, name)(**arguments)


def penalty64(w, name, arguments):
    default = 0.0 if name == "L1L2" else 0.01
    l1 = arguments.get("l1", default) if "L1" in name else 0.0
    l2 = arguments.get("l2", default) if "L2" in name else 0.0
    return l1 * np.sum(np.abs(w)) + l2 * np.sum(np.square(w))


def test_by_hand():
    w = ops.convert_to_tensor([[1.0, -2.0], [3.0, 0.0]])
    assert float(regularizers.L1(0.5)(w)) == 3
    assert float(regularizers.L2(0.5)(w)) == 7
    assert float(regularizers.L1L2(0.5, 0.25)(w)) == 6.5


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    case=st.sampled_from(CASES),
    shape=st.lists(st.integers(0, 6), max_size=3),
    seed=st.integers(0, 2**16),
)
def test_reference(case, shape, seed):
    w = np.random.default_rng(seed).normal(size=shape).astype("float32")
    penalty = make(*case)(w)
    assert tuple(penalty.shape) == ()
    np.testing.assert_allclose(
        numpy64(penalty), penalty64(w.astype("float64"), *case), rtol=1e-5
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_builtin(case):
    ours, builtin = make(*case), make_builtin(*case)
    assert isinstance(ours, type(builtin))
    w = ops.convert_to_tensor(W)
    assert float(ours(w)) == pytest.approx(float(builtin(w)), rel=1e-6)
    assert numpy64(ours(keras.Variable(W))) == numpy64(ours(w))
    if any(case[1].values()):
        np.testing.assert_allclose(
            gradient(ours, W), gradient(builtin, W), rtol=1e-6
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    with float64():
        w = ops.cast(W, dtype)
        for case in CASES:
            penalty = make(*case)(w)
            assert keras.backend.standardize_dtype(penalty.dtype) == dtype
            assert float(numpy64(penalty)) == pytest.approx(
                penalty64(W, *case), rel=0.01
            )


def test_half_precision_neither_overflows_nor_rounds_while_summing():
    # float16 cannot hold the sums, 90000 and 1000.125.
    many = ops.cast(np.ones(90_000), "float16")
    for regularizer in (regularizers.L1(0.25), regularizers.L2(0.25)):
        assert float(regularizer(many)) == 22_496  # 22500, rounded
    few = ops.cast(np.full(8001, 0.125), "float16")
    assert float(regularizers.L1(8.0)(few)) == 8000


def test_float64_has_the_digits_of_float64():
    w = np.full(3, 0.1)
    with float64():
        penalty = regularizers.L1L2(0.1, 0.2)(ops.cast(w, "float64"))
        assert float(penalty) == pytest.approx(0.036, rel=1e-14)


def test_symbolic_weights():
    for case in CASES:
        penalty = make(*case)(keras.KerasTensor((2, 3)))
        assert tuple(penalty.shape) == ()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_config_round_trip(case):
    regularizer = make(*case)
    config = keras.regularizers.serialize(regularizer)
    assert config["registered_name"] == f"keras_ext>{case[0]}"
    # The factors are saved exactly.
    for argument, value in case[1].items():
        assert regularizer.get_config()[argument] == value
    for again in (
        keras.regularizers.get(config),
        type(regularizer).from_config(regularizer.get_config()),
    ):
        assert type(again) is type(regularizer)
        assert again.get_config() == regularizer.get_config()


def test_names():
    assert isinstance(keras.regularizers.get(regularizers.L2), regularizers.L2)
    for name, value in (("l1", "L1"), ("l2", "L2"), ("l1_l2", "L1L2")):
        assert getattr(regularizers, name) is getattr(regularizers, value)
        assert hasattr(keras.regularizers, name)


LOSSES = """
import sys
import keras
import numpy as np

model = keras.saving.load_model(sys.argv[1])
model(np.ones((4, 3), "float32"))
losses = [keras.ops.convert_to_numpy(loss) for loss in model.losses]
np.save(sys.argv[2], losses)
"""


def test_save_and_load(tmp_path):
    layer = keras.layers.Dense(
        3,
        kernel_regularizer=regularizers.L1(0.1),
        bias_regularizer=regularizers.L1L2(0.1, 0.2),
        activity_regularizer=regularizers.L2(0.3),
    )
    model = keras.Sequential([keras.Input((3,)), layer])
    model(np.ones((4, 3), "float32"))
    losses = [numpy64(loss) for loss in model.losses]
    model.save(tmp_path / "model.keras")
    run_in_loader(LOSSES, tmp_path / "model.keras", tmp_path / "losses.npy")
    loaded = np.load(tmp_path / "losses.npy")
    assert loaded.shape == (3,)
    np.testing.assert_allclose(loaded, losses, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layers = [
        keras.layers.Dense(
            5,
            kernel_initializer="ones",
            kernel_regularizer=l2,
            activity_regularizer=l2,
            dtype=policy,
        )
        for l2 in (regularizers.L2(0.5), keras.regularizers.L2(0.5))
    ]
    for layer in layers:
        layer(np.ones((2, 3), "float32"))
    ours, builtin = (layer.losses for layer in layers)
    for a, b in zip(ours, builtin, strict=True):
        assert a.dtype == b.dtype
        assert numpy64(a) == numpy64(b)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "a", [1]])
@pytest.mark.parametrize(
    ("name", "argument"),
    [("L1", "l1"), ("L2", "l2"), ("L1L2", "l1"), ("L1L2", "l2")],
)
def test_bad_argument(name, argument, value):
    message = f"`{argument}` must be a finite number >= 0.*{argument}="
    with pytest.raises(ValueError, match=message):
        make(name, {argument: value})


def test_other_numbers():
    assert regularizers.L2(None).l2 == 0.01
    assert regularizers.L1L2(None, None).get_config() == {"l1": 0, "l2": 0}
    assert regularizers.L2(np.float32(0.5)).get_config() == {"l2": 0.5}


def test_fit_makes_weights_small(rng):
    keras.utils.set_random_seed(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    sizes = []
    for factor in (0.0, 0.5):
        layer = keras.layers.Dense(
            1, kernel_regularizer=regularizers.L2(factor)
        )
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, x.sum(axis=1), epochs=10, verbose=0)
        sizes.append(np.square(layer.get_weights()[0]).sum())
    assert sizes[1] < 0.7 * sizes[0]
