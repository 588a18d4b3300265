"""Activation functions: values, gradients, dtypes, shapes and names."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext import activations
from tests.fresh_process import predict_after_reload
from tests.numerics import EXAMPLES, float64, gradient, numpy64

Z = np.array(
    [-1e4, -30.0, -10.0, -2.0, -0.0, 0.0, 0.5, 5.0, 6.0, 10.0, 1e4], "float32"
)


def relu64(z, negative_slope=0.0, max_value=None, threshold=0.0):
    above = z if max_value is None else np.clip(z, 0, max_value)
    return np.where(z > threshold, above, negative_slope * (z - threshold))


def elu64(z, alpha=1.0):
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def sigmoid64(z):
    return np.exp(-np.logaddexp(0, -z))


def softmax64(z, axis=-1):
    axis = tuple(axis) if isinstance(axis, list) else axis
    exp = np.exp(z - z.max(axis=axis, keepdims=True))
    return exp / exp.sum(axis=axis, keepdims=True)


REFERENCES = {
    "linear": lambda z: z,
    "step": lambda z: np.where(z > 0, 1.0, 0.0),
    "sigmoid": sigmoid64,
    "tanh": np.tanh,
    "relu": relu64,
    "leaky_relu": lambda z, negative_slope=0.2: relu64(z, negative_slope),
    "elu": elu64,
    "selu": lambda z: 1.0507009873554805 * elu64(z, 1.6732632423543772),
    "swish": lambda z: z * sigmoid64(z),
    "softmax": softmax64,
}
CASES = [
    ("linear", {}),
    ("step", {}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"negative_slope": -1.0}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"max_value": 2.5}),
    ("relu", {"max_value": 0.0}),
    ("relu", {"threshold": 5.0}),
    ("relu", {"threshold": -2.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 4.0}),
    ("relu", {"negative_slope": 0.1, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 6, "threshold": 1}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {}),
    ("elu", {"alpha": 0.5}),
    ("selu", {}),
    ("swish", {}),
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": None}),
]
NAMES = sorted(REFERENCES)
SAME_AS_KERAS = [case for case in CASES if case[0] != "step"]
# Each function once, with most of its branches.
SOME = list({case[0]: case for case in reversed(CASES)}.values())
SOME.append(("relu", {"negative_slope": 0.1, "max_value": 6, "threshold": 1}))


def ours(name, options):
    return lambda z: getattr(activations, name)(z, **options)


def builtin(name, options):
    return lambda z: getattr(keras.activations, name)(z, **options)


def dtype_of(x):
    return keras.backend.standardize_dtype(x.dtype)


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("linear", [-1, 0, 2], [-1, 0, 2]),
        ("step", [-0.5, -0.0, 0, 0.5], [0, 0, 0, 1]),
        ("sigmoid", [-2, 0, 2], [0.1192, 0.5, 0.8808]),
        ("tanh", [-1, 0, 1], [-0.7616, 0, 0.7616]),
        ("relu", [-10, -5, 0, 5, 10], [0, 0, 0, 5, 10]),
        ("leaky_relu", [-10, 0, 10], [-2, 0, 10]),
        ("elu", [-1, 0, 2], [-0.6321, 0, 2]),
        ("selu", [-1, 0, 1], [-1.1113, 0, 1.0507]),
        ("swish", [-1, 0, 1], [-0.2689, 0, 0.7311]),
        ("softmax", [2.0, 1.0, 0.1], [0.659, 0.242, 0.099]),
        ("softmax", [3.2, 1.3, 0.2, 0.8], [0.775, 0.116, 0.039, 0.070]),
    ],
)
def test_by_hand(name, z, expected):
    result = getattr(activations, name)(np.array(z, "float32"))
    digits = 3 if name == "softmax" else 4
    assert np.round(numpy64(result), digits).tolist() == expected


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("linear", [-3, 0, 3], [1, 1, 1]),
        ("step", [-3, 0, 3], [0, 0, 0]),
        ("sigmoid", [-10, 0, 10], [4.54e-5, 0.25, 4.54e-5]),
        ("tanh", [-1, 0, 1], [0.42, 1, 0.42]),
        ("relu", [-3, 0, 3], [0, 0, 1]),
        ("leaky_relu", [-3, 3], [0.2, 1]),
        ("elu", [-1, 3], [0.3679, 1]),
        ("swish", [0], [0.5]),
    ],
)
def test_gradient_by_hand(name, z, expected):
    slopes = gradient(getattr(activations, name), np.array(z, "float32"))
    np.testing.assert_allclose(slopes, expected, rtol=1e-3)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(
    case=st.sampled_from(CASES),
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    seed=st.integers(0, 2**16),
    size=st.sampled_from([1.0, 30.0]),
)
def test_reference(case, shape, seed, size):
    name, options = case
    z = size * np.random.default_rng(seed).normal(size=shape)
    if name == "softmax" and options.get("axis", -1) is not None:
        # Keras warns of a single class.
        z = np.concatenate([z, -z], options.get("axis", -1))
    z = z.astype("float32")
    result = ours(name, options)(z)
    assert tuple(result.shape) == z.shape
    expected = REFERENCES[name](z.astype("float64"), **options)
    np.testing.assert_allclose(
        numpy64(result), expected, rtol=2e-6, atol=1e-6 * size
    )


@pytest.mark.parametrize("case", SAME_AS_KERAS, ids=str)
def test_builtin(case):
    f, g = ours(*case), builtin(*case)
    np.testing.assert_array_equal(numpy64(f(Z)), numpy64(g(Z)))
    np.testing.assert_array_equal(gradient(f, Z), gradient(g, Z))


def test_symbolic_inputs():
    inputs = keras.Input((len(Z),))
    cases = [case for case in CASES if case[1] != {"axis": 0}]
    outputs = [ours(*case)(inputs) for case in cases]
    for output in outputs:
        assert output.shape == inputs.shape
        assert output.dtype == inputs.dtype
    model = keras.Model(inputs, outputs)
    for case, result in zip(
        cases, model.predict(Z[None], verbose=0), strict=True
    ):
        np.testing.assert_allclose(
            result[0], numpy64(ours(*case)(Z)), rtol=1e-6, err_msg=str(case)
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype):
    with float64():
        z = ops.cast(Z, dtype)
        for case in SOME:
            result = ours(*case)(z)
            assert dtype_of(result) == dtype, case
            if case in SAME_AS_KERAS:
                expected = numpy64(builtin(*case)(z))
                np.testing.assert_allclose(
                    numpy64(result), expected, rtol=2e-7, err_msg=str(case)
                )


def test_float64_has_the_digits_of_float64():
    z = np.array([-1e4, -20.0, -1e-9, 0.0, 1e-9, 0.3, 19.0, 1e4])
    with float64():
        for name in ("sigmoid", "tanh", "swish"):
            result = ops.convert_to_numpy(getattr(activations, name)(z))
            np.testing.assert_allclose(
                result, REFERENCES[name](z), rtol=1e-13, atol=1e-16
            )
        slopes = gradient(activations.tanh, z)
        np.testing.assert_allclose(slopes, 1 - np.tanh(z) ** 2, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_integers(name):
    z = np.array([-2, 0, 3], "int32")
    kept = name in ("linear", "step", "relu")
    for x in (z, keras.KerasTensor((3,), "int32")):
        result = getattr(activations, name)(x)
        assert dtype_of(result) == ("int32" if kept else "float32")
    np.testing.assert_allclose(
        numpy64(getattr(activations, name)(z)),
        REFERENCES[name](z.astype("float64")),
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", NAMES)
def test_empty_batches(name):
    z = np.zeros((0, 3), "float32")
    assert tuple(getattr(activations, name)(z).shape) == (0, 3)


@pytest.mark.parametrize("axis", [(0, 2), [1, 2], (2, -2), (-1,), None, ()])
def test_softmax_over_several_axes(axis, rng):
    z = (10 * rng.normal(size=(2, 3, 4))).astype("float32")
    z[1, 2] += 1e4
    expected = softmax64(z.astype("float64"), axis)
    result = activations.softmax(z, axis)
    np.testing.assert_allclose(numpy64(result), expected, rtol=2e-6)

    # With an unknown batch size, and without a batch.
    if axis == [1, 2]:
        inputs = keras.Input((3, 4))
        model = keras.Model(inputs, activations.softmax(inputs, axis))
        np.testing.assert_allclose(
            model.predict(z, verbose=0), expected, rtol=2e-6
        )
        assert tuple(activations.softmax(z[:0], axis).shape) == (0, 3, 4)

    weights = np.arange(24, dtype="float32").reshape(2, 3, 4)

    def weighted(softmax):
        return lambda z: softmax(z, axis) * ops.convert_to_tensor(weights)

    if axis == (0, 2):
        np.testing.assert_allclose(
            gradient(weighted(activations.softmax), z),
            gradient(weighted(keras.activations.softmax), z),
            atol=1e-5,
        )


def test_softmax_of_large_logits():
    z = np.array([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4]], "float32")
    for axis in (-1, (0, 1)):
        expected = softmax64(z.astype("float64"), axis)
        result = activations.softmax(z, axis)
        np.testing.assert_allclose(numpy64(result), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_cross_entropy_sees_the_logits(name):
    # From the probability, 0 in float32, the loss would be at most 16.1.
    z = ops.convert_to_tensor(np.array([[-200.0, 0.0]], "float32"))
    ours = getattr(activations, name)(z)
    builtin = getattr(keras.activations, name)(z)
    assert hasattr(ours, "_keras_logits") == hasattr(builtin, "_keras_logits")
    if name == "sigmoid":
        loss = keras.losses.BinaryCrossentropy()
    else:
        loss = keras.losses.CategoricalCrossentropy()
    y = np.array([[1.0, 0.0]])
    assert float(loss(y, ours)) == float(loss(y, builtin))
    if keras.config.backend() == "tensorflow":
        assert float(loss(y, ours)) > 99


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name):
    function = getattr(activations, name)
    config = keras.activations.serialize(function)
    assert keras.activations.deserialize(config) is function
    layer = keras.layers.Dense(2, activation=function)
    again = keras.layers.Dense.from_config(layer.get_config())
    assert again.activation is function


def test_two_names_for_one_function():
    assert activations.silu is activations.swish
    assert keras.activations.silu is keras.activations.swish


def test_save_and_load(tmp_path, rng):
    model = keras.Sequential([keras.Input((3,))])
    for name in NAMES:
        function = getattr(activations, name)
        model.add(keras.layers.Dense(3, activation=function))
    x = rng.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), model.predict(x, verbose=0)
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="`max_value` must be .*max_value=-1"):
        activations.relu(Z, max_value=-1)
    for axis in (1, -2, (0, 0), 0.5, "last"):
        with pytest.raises(ValueError, match="`axis` must .* axis="):
            activations.softmax(Z, axis)


def test_softmax_over_one_class_warns():
    with pytest.warns(UserWarning, match="softmax over axis -1"):
        keras.activations.softmax(Z[:, None])
    with pytest.warns(UserWarning, match="softmax over axis"):
        activations.softmax(Z[:, None])


def test_fit(rng):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Dense(8, activation=activations.relu),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    x = rng.normal(size=(64, 2)).astype("float32")
    loss = model.fit(x, np.abs(x[:, :1]), epochs=8, verbose=0).history["loss"]
    assert loss[-1] < 0.5 * loss[0]
