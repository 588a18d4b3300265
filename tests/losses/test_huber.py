import keras
import numpy as np
import pytest
from fresh_process import run_in_loader
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numerics import EXAMPLES, float64, gradient, numpy64

from keras_ext.losses import Huber, huber

EVALUATE = """
import sys
import keras
import numpy as np

model_path, data_path, out_path = sys.argv[1:]
model = keras.saving.load_model(model_path)
data = np.load(data_path)
np.save(out_path, model.evaluate(data["x"], data["y"], verbose=0))
"""


def reference(y_true, y_pred, delta=1.0):
    size = np.abs(y_pred.astype("float64") - y_true.astype("float64"))
    quadratic = size**2 / 2
    linear = delta * size - delta**2 / 2
    return np.where(size <= delta, quadratic, linear).mean(axis=-1)


def pair(rng, shape=(4, 3), scale=2.0):
    y_true = rng.normal(size=shape).astype("float32")
    y_pred = scale * rng.normal(size=shape).astype("float32")
    return y_true, y_pred


def test_by_hand():
    # Errors 0.5 and 3 with delta 1: 0.125 and 2.5. -1 is on the border: 0.5.
    y_true = [[0.0, 0.0], [0.0, 0.0]]
    y_pred = [[0.5, 3.0], [-1.0, 0.0]]
    assert numpy64(huber(y_true, y_pred)).tolist() == [1.3125, 0.25]
    assert float(Huber()(y_true, y_pred)) == (1.3125 + 0.25) / 2
    assert float(Huber(delta=2.0)([[0.0]], [[3.0]])) == 2 * 3 - 2


def test_gradient_is_the_error_clipped_at_delta():
    error = np.array([[-9.0], [-2.0], [-0.5], [0.0], [0.5], [2.0], [9.0]])
    error = error.astype("float32")
    slopes = gradient(lambda e: huber(ops.zeros_like(e), e, 2.0), error)
    assert slopes.ravel().tolist() == [-2, -2, -0.5, 0, 0.5, 2, 2]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
    delta=st.sampled_from([0.1, 1.0, 2.5, 100.0]),
)
def test_reference(shape, seed, delta):
    y_true, y_pred = pair(np.random.default_rng(seed), shape)
    result = huber(y_true, y_pred, delta)
    assert tuple(result.shape) == y_true.shape[:-1]
    np.testing.assert_allclose(
        numpy64(result), reference(y_true, y_pred, delta), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("delta", [0.5, 3.0])
@pytest.mark.parametrize(
    "reduction",
    ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none", None],
)
@pytest.mark.parametrize("weighted", [True, False])
def test_builtin(rng, delta, reduction, weighted):
    y_true, y_pred = pair(rng, (6, 5, 3))
    weights = rng.random((6, 5)).astype("float32") if weighted else None
    ours = Huber(delta, reduction=reduction)
    builtin = keras.losses.Huber(delta, reduction=reduction)
    assert isinstance(ours, keras.losses.Huber)
    assert ours.name == builtin.name
    np.testing.assert_allclose(
        numpy64(ours(y_true, y_pred, weights)),
        numpy64(builtin(y_true, y_pred, weights)),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        gradient(lambda y: ours(y_true, y, weights), y_pred),
        gradient(lambda y: builtin(y_true, y, weights), y_pred),
        rtol=1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [
        ((4,), (4, 1)),
        ((4, 1), (4,)),
        ((4, 3), (4, 3, 1)),
        ((4, 3, 1), (4, 3)),
        ((4, 1), (4, 3)),
        ((3,), (4, 3)),
    ],
)
def test_ranks_as_the_builtin(rng, true_shape, pred_shape):
    y_true = rng.normal(size=true_shape).astype("float32")
    y_pred = rng.normal(size=pred_shape).astype("float32")
    for ours, builtin in (
        (huber, keras.losses.huber),
        (Huber(), keras.losses.Huber()),
    ):
        np.testing.assert_allclose(
            numpy64(ours(y_true, y_pred)),
            numpy64(builtin(y_true, y_pred)),
            rtol=1e-6,
        )


def test_integer_labels():
    y_true, y_pred = [[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]
    assert float(Huber()(y_true, y_pred)) == pytest.approx(0.155)


def test_no_limit():
    # The built-in's unused branch is infinite here, and its gradient NaN.
    error = np.array([[3.0], [-4.0]], "float32")
    loss = Huber(delta=float("inf"), reduction="sum")
    assert float(loss(np.zeros_like(error), error)) == 12.5
    slopes = gradient(lambda e: loss(ops.zeros_like(e), e), error)
    assert slopes.ravel().tolist() == [3, -4]


def test_config_round_trip():
    loss = Huber(delta=0.3, reduction="sum", name="h", dtype="mixed_bfloat16")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is Huber
    assert again.get_config() == loss.get_config()
    assert (again.delta, again.reduction, again.name, again.dtype) == (
        0.3,
        "sum",
        "h",
        "bfloat16",
    )
    assert Huber.from_config(Huber().get_config()).dtype == "float32"


def test_function_config_round_trip():
    config = keras.losses.serialize(huber)
    assert keras.losses.deserialize(config) is huber


def test_save_and_load(tmp_path, rng):
    x, y = pair(rng, (16, 3), scale=1.0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", Huber(delta=0.1))
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    paths = [tmp_path / n for n in ("model.keras", "data.npz", "loss.npy")]
    run_in_loader(EVALUATE, *paths)
    loss = model.evaluate(x, y, verbose=0)
    assert np.load(paths[2]) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float16", 2e-3), ("bfloat16", 2e-2), ("float64", 1e-6)],
)
def test_dtypes(rng, dtype, tolerance):
    y_true, y_pred = pair(rng, (8, 5))
    with float64():
        loss = Huber(dtype=dtype)(y_true, y_pred)
        builtin = keras.losses.Huber(dtype=dtype)(y_true, y_pred)
        assert loss.dtype == builtin.dtype
        function = huber(y_true, ops.cast(y_pred, dtype))
        assert keras.backend.standardize_dtype(function.dtype) == dtype
    expected = reference(y_true, y_pred).mean()
    assert numpy64(loss) == pytest.approx(expected, rel=tolerance)
    assert numpy64(function).mean() == pytest.approx(expected, rel=tolerance)


@pytest.mark.backend("tensorflow")
def test_float64_is_exact(rng):
    # Only on TensorFlow do Keras's own reductions keep float64.
    y_true, y_pred = pair(rng, (8, 5))
    loss = float(Huber(dtype="float64")(y_true, y_pred))
    assert loss == pytest.approx(reference(y_true, y_pred).mean(), rel=1e-14)


def test_mixed_precision(rng):
    # Losses of a mixed model are computed in float32.
    model = keras.Sequential([keras.layers.Dense(3, dtype="mixed_float16")])
    model.compile("sgd", Huber())
    x, y = pair(rng, (16, 3))
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


@pytest.mark.parametrize("delta", [-1, 0, float("nan")])
def test_bad_argument(delta):
    message = f"`delta` must be a positive number. Received: delta={delta}"
    with pytest.raises(ValueError, match=message):
        Huber(delta=delta)
    with pytest.raises(ValueError, match=message):
        huber([[0.0]], [[1.0]], delta=delta)


def test_fit_withstands_outliers(rng):
    # The loss it is for: a line through points, some of them far off.
    x = rng.uniform(-1, 1, size=(128, 1)).astype("float32")
    y = 2 * x
    y[:12] += 50
    x, y = np.tile(x, (40, 1)), np.tile(y, (40, 1))

    def slope(loss):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.3), loss)
        model.fit(x, y, batch_size=128, epochs=2, shuffle=False, verbose=0)
        return model.layers[0].get_weights()

    kernel, bias = slope(Huber())
    assert kernel[0, 0] == pytest.approx(2, abs=0.3)
    assert bias[0] == pytest.approx(0, abs=0.3)
    assert abs(slope("mse")[1][0]) > 3
