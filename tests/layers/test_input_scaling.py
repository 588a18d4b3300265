"""Standardization and MinMaxScaling: statistics and results."""

import copy

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext.layers import MinMaxScaling, Standardization
from tests.fresh_process import predict_after_reload
from tests.numerics import EXAMPLES, float64, numpy64

LAYERS = [Standardization, MinMaxScaling]

# Two features of 3 samples; the second one is constant.
X = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]], "float32")


def scaled64(layer_class, x, axis=-1, data=None):
    """Return the expected result for the data of `adapt`."""
    data = x if data is None else data
    x, data = x.astype("float64"), data.astype("float64")
    kept = () if axis is None else np.atleast_1d(axis) % x.ndim
    over = tuple(a for a in range(x.ndim) if a not in kept)
    if layer_class is Standardization:
        shift = data.mean(axis=over, keepdims=True)
        divisor = data.std(axis=over, keepdims=True)
    else:
        shift = data.min(axis=over, keepdims=True)
        divisor = data.max(axis=over, keepdims=True) - shift
    return (x - shift) / divisor


def adapted(layer_class, data, *args, **kwargs):
    layer = layer_class(*args, **kwargs)
    layer.adapt(data)
    return layer


def test_by_hand():
    root = np.sqrt(1.5)
    layer = adapted(Standardization, X)
    np.testing.assert_allclose(
        numpy64(layer(X)), [[-root, 0], [0, 0], [root, 0]], rtol=1e-6
    )
    assert numpy64(layer.mean).tolist() == [2, 7]
    np.testing.assert_allclose(numpy64(layer.variance), [2 / 3, 0])

    layer = adapted(MinMaxScaling, X, (-1, 1))
    assert numpy64(layer(X)).tolist() == [[-1, -1], [0, -1], [1, -1]]
    assert numpy64(layer.minimum).tolist() == [1, 7]
    assert numpy64(layer.maximum).tolist() == [3, 7]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    layer_class=st.sampled_from(LAYERS),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    axis=st.sampled_from([None, -1, 1, (-1, 1)]),
    seed=st.integers(0, 2**16),
)
def test_reference(layer_class, shape, axis, seed):
    if isinstance(axis, tuple) and len(shape) == 1:
        axis = -1
    rng = np.random.default_rng(seed)
    # Features of very different sizes, 5 samples or more.
    x = rng.normal(3, 2, size=(5 + seed % 3, *shape)) * 10.0 ** (seed % 7 - 3)
    x = x.astype("float32")
    layer = adapted(layer_class, x, axis=axis)
    result = layer(x)
    assert tuple(result.shape) == x.shape
    np.testing.assert_allclose(
        numpy64(result), scaled64(layer_class, x, axis), rtol=1e-5, atol=2e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_scikit_learn(dtype, rng):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = rng.uniform(0, 255, size=(200, 5)).astype(dtype)
    x[:, 3] = 3
    for layer, scaler in [
        (Standardization(), preprocessing.StandardScaler()),
        (Standardization(scale=False), preprocessing.StandardScaler()),
        (MinMaxScaling(), preprocessing.MinMaxScaler()),
        (MinMaxScaling((-1, 1)), preprocessing.MinMaxScaler((-1, 1))),
        (
            MinMaxScaling((0, 2), clip=True),
            preprocessing.MinMaxScaler((0, 2), clip=True),
        ),
    ]:
        if getattr(layer, "scale", True) is False:
            scaler.with_std = False
        expected = scaler.fit_transform(x)
        layer.adapt(x)
        atol = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(numpy64(layer(x)), expected, atol=atol)
        # New values, also outside the range, except in the constant feature.
        wide = 2 * x.astype("float32") - 100
        wide[:, 3] = 3
        np.testing.assert_allclose(
            numpy64(layer(wide)), scaler.transform(wide), rtol=1e-5, atol=atol
        )


@pytest.mark.parametrize("axis", [-1, None, 1])
def test_normalization_of_keras(axis, rng):
    x = rng.normal(5, 3, size=(20, 4, 3)).astype("float32")
    ours, builtin = Standardization(axis), keras.layers.Normalization(axis)
    assert isinstance(ours, keras.layers.Normalization)
    for layer in (ours, builtin):
        layer.adapt(x)
    np.testing.assert_allclose(
        numpy64(ours(x)), numpy64(builtin(x)), rtol=1e-4, atol=1e-6
    )
    # The weights have the same names, order and shapes.
    assert [w.name for w in ours.weights] == [w.name for w in builtin.weights]
    other = Standardization(axis)
    other.build(x.shape)
    other.set_weights(builtin.get_weights())
    np.testing.assert_allclose(
        numpy64(other(x)), numpy64(builtin(x)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("layer_class", LAYERS)
def test_images(layer_class, rng):
    x = rng.integers(0, 256, size=(6, 4, 5, 3)).astype("uint8")
    shapes = {None: (), -1: (3,), (1, 2, 3): (4, 5, 3), (3, 1): (4, 3)}
    for axis, shape in shapes.items():
        layer = adapted(layer_class, x, axis=axis)
        assert tuple(layer.weights[0].shape) == shape
        np.testing.assert_allclose(
            numpy64(layer(x)), scaled64(layer_class, x, axis), atol=1e-6
        )


def test_division_by_255():
    pixels = np.arange(256).astype("uint8").reshape(1, 16, 16)
    layer = MinMaxScaling(minimum=0, maximum=255)
    np.testing.assert_allclose(numpy64(layer(pixels)), pixels / 255, 1e-6)
    assert layer.weights == []
    # The layer accepts inputs of any shape.
    inputs = keras.Input((None, None, None))
    assert MinMaxScaling(minimum=0, maximum=255)(inputs).shape == inputs.shape
    signs = MinMaxScaling((-1, 1), minimum=0, maximum=255)(pixels)
    assert (numpy64(signs).min(), numpy64(signs).max()) == (-1, 1)


# Types of data.


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return self.x[4 * i : 4 * i + 4], np.zeros(4)


class OnDisk:
    """Like `h5py.Dataset`: nothing but a shape and slices."""

    def __init__(self, x):
        self.x, self.shape = x, x.shape

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self.x[rows]


FORMS = {
    "tensor": ops.convert_to_tensor,
    "nested lists": lambda x: x.tolist(),
    "list of batches": lambda x: [x[:5], x[5:]],
    "list of pairs": lambda x: [(x[:5], x[:5, 0]), (x[5:], x[5:, 0])],
    "generator": lambda x: (x[i : i + 1] for i in range(len(x))),
    "generator of lists": lambda x: (
        x[i : i + 2].tolist() for i in (0, 2, 4, 6, 8)
    ),
    "PyDataset": Batches,
    "on disk": OnDisk,
    "with an empty batch": lambda x: [x[:0], x],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_data(form, rng):
    x = rng.normal(size=(10, 3)).astype("float32")
    layer = adapted(Standardization, FORMS[form](x))
    np.testing.assert_allclose(numpy64(layer.mean), x.mean(axis=0), 1e-5, 1e-7)
    np.testing.assert_allclose(numpy64(layer.variance), x.var(axis=0), 1e-5)
    assert numpy64(layer.count) == 10


def test_tf_data(rng):
    tf = pytest.importorskip("tensorflow")
    x = rng.normal(size=(10, 3)).astype("float32")
    slices = tf.data.Dataset.from_tensor_slices
    for data in (
        slices(x).batch(4),
        slices(x),
        slices((x, np.zeros(10))).batch(4),
    ):
        for layer_class in LAYERS:
            layer = adapted(layer_class, data)
            expected = scaled64(layer_class, x)
            np.testing.assert_allclose(
                numpy64(layer(x)), expected, atol=1e-5, rtol=1e-5
            )
            # In a pipeline, on every backend.
            piped = np.concatenate(
                [batch.numpy() for batch in slices(x).batch(4).map(layer)]
            )
            np.testing.assert_allclose(piped, expected, atol=1e-5, rtol=1e-5)
    given = MinMaxScaling(minimum=0, maximum=2)
    batch = next(iter(slices(x).batch(4).map(given)))
    np.testing.assert_allclose(batch.numpy(), x[:4] / 2, rtol=1e-6)


def test_data_loader(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(10, 3)).astype("float32")
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.zeros(10))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    layer = adapted(Standardization, loader)
    np.testing.assert_allclose(numpy64(layer.mean), x.mean(axis=0), 1e-5, 1e-7)


def test_one_slice_after_another(rng):
    # More than one slice, from an array and from batches.
    x = rng.normal(2, 3, size=(3000, 300)).astype("float32")
    expected = x.astype("float64").var(axis=0)
    for data in (x, [x[:100], x[100:]]):
        layer = adapted(Standardization, data)
        np.testing.assert_allclose(numpy64(layer.variance), expected, 1e-6)


def test_images_of_different_sizes():
    batches = [np.zeros((2, 4, 5, 3)), np.ones((1, 10, 8, 3))]
    layer = adapted(Standardization, batches)
    np.testing.assert_allclose(numpy64(layer.mean), [2 / 3] * 3, rtol=1e-6)


# Edge cases.


def test_nearly_constant_features_with_a_large_mean(rng):
    x = 1e6 + 1e-3 * rng.normal(size=(1000, 2))
    batches = [x[:1], x[1:300], x[300:]]
    with float64():
        for data in (x, batches):
            layer = adapted(Standardization, data, dtype="float64")
            variance = ops.convert_to_numpy(layer.variance)
            np.testing.assert_allclose(variance, x.var(axis=0), rtol=1e-6)
            result = ops.convert_to_numpy(layer(x))
            np.testing.assert_allclose(
                result, scaled64(Standardization, x), atol=1e-6
            )
        layer = adapted(MinMaxScaling, x, dtype="float64")
        result = ops.convert_to_numpy(layer(x))
        np.testing.assert_allclose(
            result, scaled64(MinMaxScaling, x), atol=1e-12
        )
    # These values are equal in float32: rounding noise must not grow.
    layer = adapted(Standardization, x)
    assert np.all(numpy64(layer(x.astype("float32"))) == 0)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e30, 255])
def test_constant_features(value):
    x = np.full((70, 2), value)
    x[:, 1] = np.arange(70)
    layer = adapted(Standardization, [x[:30], x[30:]])
    assert np.all(numpy64(layer(x))[:, 0] == 0)
    assert numpy64(layer.variance)[0] == 0
    layer = adapted(MinMaxScaling, [x[:30], x[30:]], (-1, 1))
    assert np.all(numpy64(layer(x))[:, 0] == -1)
    # Also for given statistics and for a single sample.
    layer = Standardization(mean=value, variance=0)
    assert np.all(numpy64(layer(x))[:, 0] == 0)
    assert np.all(numpy64(adapted(Standardization, x[:1])(x[:1])) == 0)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_nan_is_refused(layer_class):
    x = np.ones((4, 3), "float32")
    for bad in (np.nan, np.inf):
        x[2, 1] = bad
        with pytest.raises(ValueError, match=r"finite.* at index \(1,\)"):
            layer_class().adapt(x)
    with pytest.raises(ValueError, match="finite numbers only"):
        layer_class(axis=None).adapt(x)


def test_ends_of_the_range(rng):
    x = rng.normal(size=(500, 20)).astype("float32")
    result = numpy64(adapted(MinMaxScaling, x)(x))
    assert np.all(result.min(axis=0) == 0)
    # XLA multiplies by the reciprocal, which has a rounding error.
    np.testing.assert_allclose(result.max(axis=0), 1, rtol=1e-7)
    result = numpy64(adapted(MinMaxScaling, x, clip=True)(x))
    assert result.max() == 1


def test_clip():
    layer = adapted(MinMaxScaling, X, clip=True)
    x = np.array([[-5.0, 7.0], [9.0, 7.0]], "float32")
    assert numpy64(layer(x)).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("layer_class", LAYERS)
def test_invert(layer_class, rng):
    x = rng.normal(5, 3, size=(20, 3)).astype("float32")
    x[:, 1] = 7
    there = adapted(layer_class, x)
    back = adapted(layer_class, x, invert=True)
    np.testing.assert_allclose(numpy64(back(there(x))), x, atol=1e-5)


def test_mean_subtraction():
    layer = adapted(Standardization, X, scale=False)
    assert numpy64(layer(X)).tolist() == [[-1, 0], [0, 0], [1, 0]]
    given = Standardization(mean=[1.0, 2.0], scale=False)
    assert numpy64(given(X[:1])).tolist() == [[0, 5]]
    back = Standardization(mean=[1.0, 2.0], scale=False, invert=True)
    assert numpy64(back(given(X))).tolist() == X.tolist()


def test_given_statistics(rng):
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    for axis, shape in ((-1, (4,)), (1, (3,)), ((1, 2), (3, 4)), (None, ())):
        mean, variance = rng.normal(size=shape), rng.uniform(1, 2, size=shape)
        layer = Standardization(axis, mean, variance)
        wide = [size if size in shape else 1 for size in x.shape]
        expected = x - mean.reshape(wide if shape else ())
        expected /= np.sqrt(variance.reshape(wide if shape else ()))
        np.testing.assert_allclose(numpy64(layer(x)), expected, 1e-5, 1e-6)
        # Right for all axes, unlike the built-in of some versions.
        again = Standardization.from_config(layer.get_config())
        np.testing.assert_allclose(numpy64(again(x)), expected, 1e-5, 1e-6)


# State.


@pytest.mark.parametrize("layer_class", LAYERS)
def test_adapting_again_forgets_and_is_in_use_at_once(layer_class, rng):
    x = rng.normal(size=(10, 3)).astype("float32")
    layer = adapted(layer_class, 5 * x + 7)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.predict(x, verbose=0)
    layer.adapt(x)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), scaled64(layer_class, x), atol=1e-5
    )


@pytest.mark.parametrize("layer_class", LAYERS)
def test_without_statistics(layer_class):
    layer = layer_class()
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layer(inputs))  # `adapt` may come later.
    with pytest.raises(ValueError, match="no statistics: call `adapt"):
        layer(X)
    layer.adapt(X)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), numpy64(layer(X)), rtol=1e-6
    )


def chain(rng):
    """Return a model that begins with both layers, and data for it."""
    x = rng.normal(5, 3, size=(10, 3)).astype("float32")
    first = adapted(Standardization, x)
    second = adapted(MinMaxScaling, first(x), (-1, 1))
    layers = [keras.Input((3,)), first, second, keras.layers.Dense(2)]
    return keras.Sequential(layers), x


def test_save_and_load(tmp_path, rng):
    model, x = chain(rng)
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(
        predict_after_reload(model, x, tmp_path), expected
    )
    # Weights files and copies.
    model.save_weights(tmp_path / "model.weights.h5")
    clones = [keras.models.clone_model(model) for _ in range(2)]
    clones[0].load_weights(tmp_path / "model.weights.h5")
    clones[1].set_weights(model.get_weights())
    for other in (*clones, copy.deepcopy(model)):
        np.testing.assert_allclose(numpy64(other(x)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        Standardization(),
        Standardization(None, 1.0, 2.0, invert=True),
        Standardization((1, 2), [1.0, 2.0], [4.0, 9.0], scale=False),
        MinMaxScaling(),
        MinMaxScaling((-1, 1), None, 0, 255, clip=True, invert=True),
        MinMaxScaling(minimum=[0, 1], maximum=np.array([2, 3])),
    ],
    ids=str,
)
def test_config_round_trip(layer):
    config = keras.layers.serialize(layer)
    assert config["registered_name"] == f"keras_ext>{type(layer).__name__}"
    again = keras.layers.deserialize(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"]
)
def test_dtypes(policy, rng):
    # The inputs are beyond the range of float16.
    x = rng.normal(1e6, 1e5, size=(50, 3))
    dtype = policy.removeprefix("mixed_")
    with float64():
        for layer_class in LAYERS:
            layer = adapted(layer_class, x, dtype=policy)
            inputs = keras.Input((3,), dtype="float32")
            model = keras.Sequential([inputs, layer])
            assert model.outputs[0].dtype == dtype
            tolerance = 1e-6 if policy == "float64" else 2e-2
            for result in (
                layer(x.astype("float32")),
                model.predict(x.astype("float32"), verbose=0),
            ):
                assert keras.backend.standardize_dtype(result.dtype) == dtype
                np.testing.assert_allclose(
                    numpy64(result), scaled64(layer_class, x), atol=tolerance
                )


@pytest.mark.parametrize("layer_class", LAYERS)
def test_shapes_and_masks(layer_class):
    layer = adapted(layer_class, X)
    for size in (0, 1):
        assert tuple(layer(X[:size]).shape) == (size, 2)
    assert layer.supports_masking
    assert layer.compute_output_shape((None, 2)) == (None, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Standardization(axis=1.5), "`axis` must be .*axis=1.5"),
        (lambda: Standardization(0).build((None, 3)), "not name the batch"),
        (lambda: Standardization().adapt(np.ones(3)), "must be `None`"),
        (lambda: Standardization(2).build((None, 3)), "`axis` must name axes"),
        (lambda: Standardization((1, -1)).build((None, 3)), "each once"),
        (lambda: Standardization(1).build((None, None)), "of known size"),
        (lambda: Standardization(mean=1.0), "together.*variance=None"),
        (lambda: Standardization(variance=1.0), "together.*mean=None"),
        (lambda: Standardization(-1, 1.0, -1.0), "`variance` must be >= 0"),
        (lambda: Standardization(-1, np.nan, 1.0), "`mean` must be finite"),
        (
            lambda: Standardization(-1, [1, 2], [1, 2])(np.ones((1, 3))),
            "`mean`",
        ),
        (lambda: MinMaxScaling((1, 0)), "`feature_range` must be two"),
        (lambda: MinMaxScaling((0, np.inf)), "`feature_range` must be two"),
        (lambda: MinMaxScaling(minimum=1), "together.*maximum=None"),
        (lambda: MinMaxScaling(minimum=1, maximum=0), "`minimum` must not"),
        (
            lambda: MinMaxScaling(minimum=0, maximum=1).adapt(X),
            "`adapt` cannot be called",
        ),
        (lambda: Standardization().adapt([]), "at least one sample"),
        (lambda: Standardization().adapt(X[:0]), "at least one sample"),
        (lambda: Standardization().adapt(np.float32(3)), "a batch axis"),
        (lambda: Standardization().adapt([X, X[:, :1]]), "must have the shape"),
        (lambda: Standardization().adapt(np.array([["a"]])), "real numbers"),
    ],
)
def test_bad_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("data", ["data", {"x": X}, 3, None])
def test_bad_data(data):
    with pytest.raises(TypeError, match="`data` must be an array"):
        Standardization().adapt(data)


def test_fit_on_unscaled_data(rng):
    keras.utils.set_random_seed(0)
    x = rng.normal(1e4, 1e3, size=(64, 3)).astype("float32")
    y = scaled64(Standardization, x).sum(axis=1)
    layer = adapted(Standardization, x)
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    loss = model.fit(x, y, epochs=10, verbose=0).history["loss"]
    assert loss[-1] < 0.1 * loss[0]
    assert model.trainable_weights == model.layers[1].trainable_weights
