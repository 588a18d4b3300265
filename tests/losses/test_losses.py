"""Tests of every loss."""

import contextlib
import inspect
import json
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras import ops

from keras_ext import losses
from tests.fresh_process import run_in_loader
from tests.losses.loss_formulas import CASES, Case
from tests.numerics import EXAMPLES, float64, gradient, numpy64

BUILTIN_CASES = [case for case in CASES if not case.novel]
# One case of each class is enough for some tests.
FEW_CASES = list({case.class_name: case for case in CASES}.values())
CLASSES = sorted({case.class_name for case in CASES})
FUNCTIONS = sorted({case.function_name for case in CASES})
REDUCTIONS = [
    "sum_over_batch_size",
    "sum",
    "mean",
    "mean_with_sample_weight",
    "none",
    None,
]
# Reduction, shape of the weights for losses of shape (2, 4), masked or not.
SUMS = [
    ("sum_over_batch_size", None, False),
    ("sum", (2, 4), False),
    ("mean", (2, 1), False),
    ("mean_with_sample_weight", (2, 4, 1), False),
    ("none", (2,), False),
    (None, (), False),
    ("sum_over_batch_size", (2, 4), True),
    ("mean_with_sample_weight", (2, 4), True),
    ("mean", None, True),
    (None, None, True),
]

SEVERAL = {"quantile": [0.1, 0.5, 0.9]}

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_builtin_case = pytest.mark.parametrize("case", BUILTIN_CASES, ids=str)


def data(case, shape=(2, 4, 3), seed=0):
    return case.data(np.random.default_rng(seed), shape)


def masked(y_pred, mask):
    y_pred = ops.convert_to_tensor(y_pred)
    y_pred._keras_mask = ops.convert_to_tensor(mask)
    return y_pred


def outcome(function):
    """Return numbers, or the type of the error."""
    try:
        return numpy64(function())
    except Exception as error:
        return type(error)


def test_every_export_is_in_the_table():
    exports = {name for name in vars(losses) if not name.startswith("_")}
    modules = {name for name in exports if inspect.ismodule(vars(losses)[name])}
    assert set(CLASSES) | set(FUNCTIONS) == exports - modules


@every_case
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    shape=st.sampled_from([(5, 3), (2, 4, 3)]),
    seed=st.integers(0, 2**16),
)
def test_formula(case, shape, seed):
    y_true, y_pred = data(case, shape, seed)
    result = case.function(y_true, y_pred)
    assert tuple(result.shape) == shape[:-1]
    expected = case.formula(y_true, y_pred)
    np.testing.assert_allclose(numpy64(result), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.backend("tensorflow")
@every_case
def test_float64_is_exact(case):
    # On other backends Keras's means are less precise.
    y_true, y_pred = (values.astype("float64") for values in data(case))
    expected = case.formula(y_true, y_pred)
    result = case.function(y_true, y_pred).numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-13)
    loss = case.make(reduction=None, dtype="float64")(y_true, y_pred)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12, atol=1e-13)


@every_builtin_case
def test_builtin(case):
    y_true, y_pred = data(case)
    rng = np.random.default_rng(1)
    for reduction, weights, is_masked in SUMS:
        if weights is not None:
            weights = rng.random(weights).astype("float32")
        predicted = y_pred
        if is_masked:
            predicted = masked(y_pred, rng.random((2, 4)) < 0.7)
        ours = case.make(reduction=reduction)
        builtin = case.make_builtin(reduction=reduction)
        assert isinstance(ours, type(builtin))
        assert ours.name == builtin.name

        def call(loss, y_true=y_true, predicted=predicted, weights=weights):
            return outcome(lambda: loss(y_true, predicted, weights))

        expected = call(builtin)
        if isinstance(expected, np.ndarray):
            expected = expected / case.to_base
            # The built-in loses digits in 1 - sigmoid(z).
            focal = case.class_name == "BinaryFocalCrossentropy"
            rtol = 3e-5 if focal and case.from_logits else 5e-6
            np.testing.assert_allclose(
                call(ours), expected, rtol=rtol, atol=5e-7
            )
        else:
            assert call(ours) is expected


@every_builtin_case
def test_gradient_of_the_builtin(case):
    y_true, y_pred = data(case)
    weights = np.random.default_rng(1).random((2, 4)).astype("float32")
    ours = case.make(reduction="mean_with_sample_weight")
    builtin = case.make_builtin(reduction="mean_with_sample_weight")
    expected = gradient(lambda y: builtin(y_true, y, weights), y_pred)
    if np.isnan(expected).any():
        pytest.skip("NaN in this version of Keras")
    np.testing.assert_allclose(
        gradient(lambda y: ours(y_true, y, weights), y_pred),
        expected / case.to_base,
        rtol=1e-5,
        atol=1e-6 * np.abs(expected).max(),
    )


@every_case
def test_gradient_of_the_formula(case):
    y_true, y_pred = data(case, (5, 3))
    # Central differences of float64 numbers, one prediction at a time.
    expected = np.zeros(y_pred.shape)
    step = 1e-6
    for index in np.ndindex(y_pred.shape):
        up, down = np.float64(y_pred), np.float64(y_pred)
        up[index] += step
        down[index] -= step
        rise = case.formula(y_true, up) - case.formula(y_true, down)
        expected[index] = rise.sum() / (2 * step)
    slopes = gradient(lambda y: case.function(y_true, y), y_pred)
    np.testing.assert_allclose(slopes, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [
        ((4,), (4, 1)),
        ((4, 1), (4,)),
        ((4, 3, 1), (4, 3)),
        ((4, 1), (4, 3)),
        ((4, 3), (2, 3)),
    ],
    ids=str,
)
def test_ranks_as_the_builtin(rng, true_shape, pred_shape):
    y_true = rng.integers(0, 2, true_shape).astype("float32")
    y_pred = rng.uniform(0.1, 0.9, pred_shape).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # One class.
        for case in FEW_CASES:
            if case.novel:
                continue
            for ours, builtin in (
                (case.make(), case.make_builtin()),
                (case.function, case.builtin),
            ):
                expected = outcome(lambda: builtin(y_true, y_pred))  # noqa: B023
                result = outcome(lambda: ours(y_true, y_pred))  # noqa: B023
                if isinstance(expected, np.ndarray):
                    expected = expected / case.to_base
                    np.testing.assert_allclose(
                        result, expected, rtol=1e-5, atol=1e-6
                    )
                elif expected is ValueError:
                    assert result is ValueError, case


@every_case
def test_integer_labels_and_lists(case):
    y_true, y_pred = data(case, (5, 3))
    y_true = np.round(y_true).astype("int64")
    expected = numpy64(case.function(y_true.astype("float32"), y_pred))
    result = numpy64(case.function(y_true, y_pred))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    if case.labels.__name__ != "numbers" and case.class_name != "KLDivergence":
        result = numpy64(case.function(y_true.tolist(), y_pred.tolist()))
        np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("case", FEW_CASES, ids=str)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float16", 5e-3), ("bfloat16", 4e-2), ("float64", 1e-6)],
)
def test_dtypes(case, dtype, tolerance):
    y_true, y_pred = data(case)
    expected = case.formula(y_true, y_pred).mean()
    context = float64() if dtype == "float64" else contextlib.nullcontext()
    with context:
        loss = case.make(reduction=None, dtype=dtype)(y_true, y_pred)
        assert keras.backend.standardize_dtype(loss.dtype) == dtype
        assert numpy64(loss).mean() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_functions_keep_the_dtype(dtype):
    for case in CASES:
        y_true, y_pred = data(case)
        y_pred = ops.cast(y_pred, dtype)
        # A masked loss may have a wider dtype.
        if "ignore_class" not in case.arguments:
            assert case.function(y_true, y_pred).dtype == y_pred.dtype


@every_case
def test_empty_batch(case):
    y_true, y_pred = data(case, (0, 3))
    for reduction in REDUCTIONS:
        loss = numpy64(case.make(reduction=reduction)(y_true, y_pred))
        if not case.novel:
            builtin = case.make_builtin(reduction=reduction)
            np.testing.assert_array_equal(
                loss, numpy64(builtin(y_true, y_pred))
            )
        assert loss.shape == (0,)


def test_symbolic_inputs():
    # For `add_loss` in a functional model.
    several = Case("Quantile", "quantile", CASES[0].labels, SEVERAL)
    for case in [*CASES, several]:
        shape = (4,) if case.labels.__name__ == "classes" else (4, 3)
        y_true, y_pred = keras.Input(shape), keras.Input((4, 3))
        assert case.function(y_true, y_pred).shape == (None, 4)


def test_compiled():
    values = [data(case) for case in CASES]

    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def both(y_trues, y_preds):
            results = []
            for case, y_true, y_pred in zip(
                CASES, y_trues, y_preds, strict=True
            ):
                with tf.GradientTape() as tape:
                    tape.watch(y_pred)
                    loss = case.make()(y_true, y_pred)
                results.append((loss, tape.gradient(loss, y_pred)))
            return results

        y_trues = [tf.constant(y_true) for y_true, _ in values]
        y_preds = [tf.constant(y_pred) for _, y_pred in values]

        def unknown(tensor):
            return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)

        signature = [
            [unknown(t) for t in tensors] for tensors in (y_trues, y_preds)
        ]
        compiled = [
            tf.function(both, jit_compile=True)(y_trues, y_preds),
            tf.function(both, input_signature=signature)(y_trues, y_preds),
        ]
    elif backend == "jax":
        import jax

        def both(y_trues, y_preds):
            return [
                jax.value_and_grad(lambda y, c=case, t=y_true: c.make()(t, y))(
                    y_pred
                )
                for case, y_true, y_pred in zip(
                    CASES, y_trues, y_preds, strict=True
                )
            ]

        compiled = [jax.jit(both)(*map(list, zip(*values, strict=True)))]
    else:
        pytest.skip("PyTorch runs the losses as they are")

    for results in compiled:
        for case, (y_true, y_pred), (loss, slopes) in zip(
            CASES, values, results, strict=True
        ):
            eager = case.make()
            np.testing.assert_allclose(
                float(loss), float(eager(y_true, y_pred)), rtol=1e-5
            )
            np.testing.assert_allclose(
                np.asarray(slopes),
                gradient(lambda y, t=y_true, e=eager: e(t, y), y_pred),
                rtol=1e-4,
                atol=1e-7,
            )


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.from_logits], ids=str
)
def test_large_logits(case):
    z = np.float32([[1e4, -1e4, 0], [-1e4, 1e4, 0], [50, -50, 0]])
    y_true = np.float32([[1, 0, 0]] * 3)
    if y_true.shape != data(case, z.shape)[0].shape:
        y_true = y_true.argmax(-1)
    loss = numpy64(case.function(y_true, z))
    slopes = gradient(lambda z: case.function(y_true, z), z)
    assert np.isfinite(loss).all() and np.isfinite(slopes).all()
    if case.class_name == "CategoricalFocalCrossentropy":
        # It clips after the softmax, as the built-in does.
        np.testing.assert_allclose(loss, numpy64(case.builtin(y_true, z)))
    else:
        expected = case.formula(y_true, z)
        np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in BUILTIN_CASES
        if not case.from_logits and case.labels.__name__ != "numbers"
    ],
    ids=str,
)
def test_probabilities_of_zero_and_one(case):
    p = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    y_true = np.float32([[1, 0, 0]] * 3)
    if y_true.shape != data(case, p.shape)[0].shape:
        y_true = y_true.argmax(-1)
    expected = numpy64(case.builtin(y_true, p)) / case.to_base
    loss = numpy64(case.function(y_true, p))
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-7)
    assert np.isfinite(gradient(lambda p: case.function(y_true, p), p)).all()
    half = numpy64(case.function(y_true, ops.cast(p, "float16")))
    np.testing.assert_allclose(half, expected, rtol=2e-2, atol=1e-3)


@every_case
def test_config_round_trip(case):
    loss = case.make(reduction="sum", name="l", dtype="mixed_bfloat16")
    arguments = set(inspect.signature(type(loss)).parameters)
    config = loss.get_config()
    assert set(config) == arguments
    for name, value in case.arguments.items():
        assert config[name] == value
    serialized = json.loads(json.dumps(keras.losses.serialize(loss)))
    again = keras.losses.deserialize(serialized)
    assert type(again) is type(loss)
    assert again.get_config() == config
    assert (again.reduction, again.name, again.dtype) == (
        "sum",
        "l",
        "bfloat16",
    )
    plain = type(loss).from_config(case.make().get_config())
    assert plain.dtype == "float32"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_config_round_trip(name):
    function = getattr(losses, name)
    config = keras.losses.serialize(function)
    assert keras.losses.deserialize(config) is function


@pytest.mark.parametrize("name", CLASSES + FUNCTIONS)
def test_arguments_of_the_builtin_come_first(name):
    ours = list(inspect.signature(getattr(losses, name)).parameters.values())
    if not hasattr(keras.losses, name):
        return
    builtin = inspect.signature(getattr(keras.losses, name)).parameters
    for mine, its in zip(ours, builtin.values(), strict=False):
        assert (mine.name, mine.default) == (its.name, its.default)
    for extra in ours[len(builtin) :]:
        assert extra.kind is extra.KEYWORD_ONLY


@pytest.mark.parametrize(
    ("names", "argument", "values"),
    [
        ("Huber", "delta", [-1, 0, float("nan")]),
        ("Quantile", "quantile", [0, 1, -0.5, (0.1, 1.0), ()]),
        (
            "BinaryCrossentropy MultiLabelCrossentropy "
            "CategoricalCrossentropy SparseCategoricalCrossentropy",
            "base",
            [0, 1, -2, float("inf"), float("nan"), "e"],
        ),
        (
            "BinaryCrossentropy MultiLabelCrossentropy "
            "CategoricalCrossentropy BinaryFocalCrossentropy "
            "CategoricalFocalCrossentropy",
            "label_smoothing",
            [-0.1, 1.1, float("nan")],
        ),
        (
            "BinaryFocalCrossentropy CategoricalFocalCrossentropy",
            "gamma",
            [-1, float("nan")],
        ),
        (
            "CategoricalCrossentropy SparseCategoricalCrossentropy "
            "CategoricalFocalCrossentropy",
            "axis",
            [True],
        ),
    ],
)
def test_bad_arguments(names, argument, values):
    functions = {case.class_name: case.function_name for case in CASES}
    for name in names.split():
        for value in values:
            with pytest.raises(ValueError, match=f"`{argument}` must .*=") as e:
                getattr(losses, name)(**{argument: value})
            assert f"Received: {argument}={value}" in str(e.value)
            function = getattr(losses, functions[name])
            with pytest.raises(ValueError, match=f"`{argument}` must"):
                function([[1.0]], [[0.5]], **{argument: value})


@pytest.mark.parametrize("name", CLASSES)
def test_bad_reduction(name):
    with pytest.raises(ValueError, match="reduction"):
        getattr(losses, name)(reduction="median")


EVALUATE = """
import sys
import keras
import numpy as np

model_path, data_path, out_path = sys.argv[1:]
model = keras.saving.load_model(model_path)
data = dict(np.load(data_path))
x = data.pop("x")
assert all(type(l).__module__.startswith("keras_ext") for l in model.loss)
np.save(out_path, model.evaluate(x, list(data.values()), verbose=0))
"""


def test_save_and_load(tmp_path):
    # A model with one output for each loss.
    cases = [*CASES, Case("Quantile", "quantile", None, SEVERAL)]
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    inputs = keras.Input((3,))
    outputs, labels = [], {"x": x}
    for i, case in enumerate(cases):
        activation = "linear" if case.from_logits else "softmax"
        dense = keras.layers.Dense(3, activation=activation, name=f"o{i}")
        outputs.append(dense(inputs))
        labels[f"o{i}"] = data(case, x.shape, i)[0] if case.labels else x[:, :1]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", [case.make() for case in cases])
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", **labels)
    paths = [tmp_path / n for n in ("model.keras", "data.npz", "loss.npy")]
    run_in_loader(EVALUATE, *paths)
    values = model.evaluate(x, list(labels.values())[1:], verbose=0)
    assert len(values) == len(cases) + 1
    np.testing.assert_allclose(np.load(paths[2]), values, rtol=1e-5)
