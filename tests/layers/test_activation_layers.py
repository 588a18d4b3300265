"""Activation layers: values, gradients, masks, dtypes, configs."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from keras_ext import activations, layers
from tests.fresh_process import predict_after_reload
from tests.numerics import EXAMPLES, float64, gradient, numpy64

Z = np.array([[-1e4, -10.0, -5.0, -0.0, 0.0, 0.5, 5.0, 10.0]], "float32")

# Name, arguments and the built-in that the layer replaces.
CASES = [
    ("ELU", {}, keras.layers.ELU),
    ("ELU", {"alpha": 0.5}, keras.layers.ELU),
    ("LeakyReLU", {}, keras.layers.LeakyReLU),
    ("LeakyReLU", {"negative_slope": 0.01}, keras.layers.LeakyReLU),
    ("Linear", {}, "linear"),
    ("ReLU", {}, keras.layers.ReLU),
    ("ReLU", {"max_value": 6.0}, keras.layers.ReLU),
    (
        "ReLU",
        {"max_value": 4.0, "negative_slope": 0.1, "threshold": 1.0},
        keras.layers.ReLU,
    ),
    ("SELU", {}, "selu"),
    ("Sigmoid", {}, "sigmoid"),
    ("Softmax", {}, keras.layers.Softmax),
    ("Softmax", {"axis": (1,)}, keras.layers.Softmax),
    ("Step", {}, None),
    ("Swish", {}, "silu"),
    ("Tanh", {}, "tanh"),
]
IDS = [f"{name}{arguments}" for name, arguments, _ in CASES]


def make(name, arguments, /, **kwargs):
    return getattr(layers, name)(**arguments, **kwargs)


def make_builtin(builtin, arguments, **kwargs):
    if isinstance(builtin, str):
        return keras.layers.Activation(builtin, **kwargs)
    return builtin(**arguments, **kwargs)


@pytest.mark.parametrize(
    ("layer", "z", "expected"),
    [
        (layers.ELU(2.0), [-1, 0, 1], [-1.2642, 0, 1]),
        (layers.LeakyReLU(0.5), [-10, -5, 0, 5], [-5, -2.5, 0, 5]),
        (layers.ReLU(6.0, 0.5), [-10, 0, 5, 10], [-5, 0, 5, 6]),
        (layers.ReLU(threshold=1.0), [-1, 1, 2], [0, 0, 2]),
        (layers.Softmax(), [2.0, 1.0, 0.1], [0.659, 0.2424, 0.0986]),
        (layers.Step(), [-0.5, 0, 0.5], [0, 0, 1]),
    ],
)
def test_by_hand(layer, z, expected):
    result = numpy64(layer(np.array(z, "float32")))
    assert np.round(result, 4).tolist() == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    axis=st.sampled_from([-1, 0, (0, 2)]),
    seed=st.integers(0, 2**16),
    kept=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_softmax_reference(axis, seed, kept):
    rng = np.random.default_rng(seed)
    z = (20 * rng.normal(size=(2, 3, 4))).astype("float32")
    mask = rng.uniform(size=z.shape) < kept
    np.testing.assert_allclose(
        numpy64(layers.Softmax(axis)(z, mask=mask)),
        masked_softmax64(z, mask, axis),
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (layers.Linear, activations.linear),
        (layers.SELU, activations.selu),
        (layers.Sigmoid, activations.sigmoid),
        (layers.Step, activations.step),
        (layers.Swish, activations.swish),
        (layers.Tanh, activations.tanh),
    ],
)
def test_layers_of_functions(layer, function):
    # Other tools read this attribute; the functions have their own tests.
    assert isinstance(layer(), keras.layers.Activation)
    assert layer().activation is function


@pytest.mark.parametrize(("name", "arguments", "builtin"), CASES, ids=IDS)
def test_builtin(name, arguments, builtin):
    if builtin is None:
        return
    ours, theirs = make(name, arguments), make_builtin(builtin, arguments)
    assert isinstance(ours, type(theirs))
    assert ours.built
    assert ours.compute_output_shape((None, 3)) == (None, 3)
    np.testing.assert_array_equal(numpy64(ours(Z)), numpy64(theirs(Z)))
    np.testing.assert_array_equal(gradient(ours, Z), gradient(theirs, Z))


def test_alpha_is_still_taken():
    with pytest.warns(UserWarning, match="`alpha` is deprecated"):
        layer = layers.LeakyReLU(alpha=0.1)
    assert layer.negative_slope == 0.1
    assert "alpha" not in layer.get_config()


@pytest.mark.parametrize(("name", "arguments", "builtin"), CASES, ids=IDS)
def test_masks_are_passed_on(name, arguments, builtin):
    # The mean leaves out the masked steps.
    layer = make(name, arguments)
    model = keras.Sequential(
        [keras.layers.Masking(), layer, keras.layers.GlobalAveragePooling1D()]
    )
    x = np.arange(12, dtype="float32").reshape(1, 4, 3) - 5
    x[:, 2:] = 0
    expected = numpy64(layer(x[:, :2])).mean(axis=1)
    np.testing.assert_allclose(numpy64(model(x)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "float64"]
)
def test_dtypes(policy):
    # The values are those of the functions, which have their own tests.
    dtype = policy.removeprefix("mixed_")
    with float64():
        for name, arguments, _ in CASES:
            result = make(name, arguments, dtype=policy)(Z)
            assert keras.backend.standardize_dtype(result.dtype) == dtype


@pytest.mark.parametrize(("name", "arguments", "builtin"), CASES, ids=IDS)
def test_config_round_trip(name, arguments, builtin):
    layer = make(name, arguments, name="unit")
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == f"keras_ext>{name}"
    again = keras.layers.deserialize(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    for argument, value in arguments.items():
        assert layer.get_config()[argument] == value


def test_save_and_load(tmp_path, rng):
    model = keras.Sequential([keras.Input((3,))])
    for name, arguments, _ in CASES:
        model.add(keras.layers.Dense(3))
        model.add(make(name, arguments))
    x = rng.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: layers.LeakyReLU(-0.1), "`negative_slope` must .*=-0.1"),
        (lambda: layers.LeakyReLU(None), "`negative_slope` must .*=None"),
        (lambda: layers.ReLU(-1), "`max_value` must .*=-1"),
        (lambda: layers.ReLU(float("nan")), "`max_value` must .*=nan"),
        (lambda: layers.ReLU(1, -1), "`negative_slope` must .*=-1"),
        (lambda: layers.ReLU(1, None), "`negative_slope` must .*=None"),
        (lambda: layers.ReLU(1, 0, -1), "`threshold` must .*=-1"),
        (lambda: layers.ReLU(1, 0, None), "`threshold` must .*=None"),
        (lambda: layers.ELU(None), "`alpha` must .*=None"),
        (lambda: layers.ELU(float("inf")), "`alpha` must .*=inf"),
        (lambda: layers.Softmax(3)(Z), "`axis` must .*axis=3"),
    ],
)
def test_bad_argument(make_layer, message):
    with pytest.raises(ValueError, match=message):
        make_layer()


# Softmax with masks.

LOGITS = np.array(
    [[1.0, 2.0, 5.0, 1.0], [1e4, -1e4, 0.0, 3.0], [3.0, 1.0, 2.0, 4.0]],
    "float32",
)
MASK = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1]], bool)


def masked_softmax64(z, mask, axis):
    axis = tuple(axis) if isinstance(axis, list) else axis
    z = np.where(mask, z.astype("float64"), -np.inf)
    top = z.max(axis=axis, keepdims=True)
    exp = np.exp(z - np.where(np.isinf(top), 0, top))
    total = exp.sum(axis=axis, keepdims=True)
    return exp / np.where(total == 0, 1, total)


@pytest.mark.parametrize("axis", [-1, (0, 1), [1]], ids=str)
def test_masked_softmax(axis):
    ours, theirs = layers.Softmax(axis), keras.layers.Softmax(axis)
    expected = masked_softmax64(LOGITS, MASK, axis)
    for dtype in ("bool", "float16", "int32"):
        result = ours(LOGITS, mask=MASK.astype(dtype))
        np.testing.assert_allclose(numpy64(result), expected, rtol=1e-6)

    z = np.clip(LOGITS, -10, 10)
    np.testing.assert_allclose(
        numpy64(ours(z, mask=MASK)), numpy64(theirs(z, mask=MASK)), rtol=1e-5
    )
    if axis != [1]:
        np.testing.assert_allclose(
            gradient(lambda z: ours(z, mask=MASK)[:, 0], z),
            gradient(lambda z: theirs(z, mask=MASK)[:, 0], z),
            atol=1e-6,
        )


@pytest.mark.parametrize("policy", ["float32", "float16", "mixed_bfloat16"])
def test_masked_entries_never_win(policy):
    # Keras replaces masked logits by -3e4 in float16 and by -1e9 otherwise.
    low = -6e4 if policy == "float16" else -3e9
    z = np.array([[low, low, 0.0]], "float32")
    mask = np.array([[True, True, False]])
    layer = layers.Softmax(dtype=policy)
    assert numpy64(layer(z, mask=mask)).tolist() == [[0.5, 0.5, 0]]
    nothing = np.zeros_like(mask)
    assert numpy64(layer(z, mask=nothing)).tolist() == [[0, 0, 0]]
    if policy == "float32":
        slopes = gradient(lambda z: layer(z, mask=nothing), z)
        assert slopes.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("features", [3, 4])
@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_under_a_mask_of_time_steps(axis, features, rng):
    # Keras passes this mask on by itself, and its layer fails on it.
    x = rng.normal(size=(2, 4, features)).astype("float32")
    x[:, 2:] = 0
    model = keras.Sequential(
        [
            keras.Input((4, features)),
            keras.layers.Masking(),
            layers.Softmax(axis),
        ]
    )
    steps = np.ones((2, 4, 1), bool)
    if axis == 1:
        steps[:, 2:] = False
    np.testing.assert_allclose(
        model.predict(x, verbose=0), masked_softmax64(x, steps, axis), rtol=1e-5
    )


def test_masks_that_broadcast():
    row = np.array([[True, False, True, True]])
    for mask in (row, row[0]):
        result = layers.Softmax()(LOGITS, mask=mask)
        np.testing.assert_allclose(
            numpy64(result), masked_softmax64(LOGITS, row, -1), rtol=1e-6
        )
    for shape in [(5, 4), (1, 3, 4), (2,)]:
        with pytest.raises(ValueError, match="`mask` must have a shape"):
            layers.Softmax()(LOGITS, mask=np.ones(shape, bool))
