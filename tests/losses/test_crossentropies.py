import keras
import numpy as np
import pytest
from keras import ops

from keras_ext import losses
from tests.numerics import gradient, numpy64

# The lectures' worked examples: softmax of [3.2, 1.3, 0.2, 0.8], and 0.936.
WORKED = [([0.775, 0.116, 0.039, 0.070], 0.3677), ([0.936, 0.064], 0.0954)]
BASES = [
    losses.BinaryCrossentropy,
    losses.MultiLabelCrossentropy,
    losses.CategoricalCrossentropy,
    losses.SparseCategoricalCrossentropy,
]


@pytest.mark.parametrize(("p", "bits"), WORKED)
def test_worked_examples_in_bits(p, bits):
    label = [[1] + [0] * (len(p) - 1)]
    bits = pytest.approx(bits, abs=5e-5)
    assert float(losses.CategoricalCrossentropy(base=2)(label, [p])) == bits
    assert float(losses.SparseCategoricalCrossentropy(base=2)([0], [p])) == bits
    assert float(losses.BinaryCrossentropy(base=2)([[1]], [p[:1]])) == bits
    assert float(losses.MultiLabelCrossentropy(base=2)([[1]], [p[:1]])) == bits


def test_worked_example_from_logits():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, base=2)
    assert float(loss([0], [[3.2, 1.3, 0.2, 0.8]])) == pytest.approx(
        -np.log2(0.775), abs=2e-3
    )


@pytest.mark.parametrize("loss_class", BASES)
def test_base_is_a_factor(loss_class, rng):
    y_true = rng.integers(0, 2, (6, 2)).astype("float32")
    if loss_class is losses.SparseCategoricalCrossentropy:
        y_true = y_true[:, 0]
    y_pred = rng.uniform(0.1, 0.9, (6, 2)).astype("float32")
    weights = rng.random(6).astype("float32")
    for reduction in ("sum", "mean_with_sample_weight", "none"):
        nats = loss_class(reduction=reduction)
        for base in (2, 10.0, 0.5):
            other = loss_class(reduction=reduction, base=base)
            np.testing.assert_allclose(
                numpy64(other(y_true, y_pred, weights)),
                numpy64(nats(y_true, y_pred, weights)) / np.log(base),
                rtol=1e-6,
            )


def test_gradient_at_the_kinks():
    # Here the formula is smooth, but some ways to compute it are not.
    z, y_true = np.zeros((1, 2), "float32"), np.float32([[0, 1]])
    for function, expected in (
        (losses.binary_crossentropy, [0.25, -0.25]),
        (losses.multi_label_crossentropy, [0.5, -0.5]),
        # (p^2 bce)' = 2 p p' bce + p^2 bce' with p = 1/2, p' = 1/4.
        (losses.binary_focal_crossentropy, [0.149143, -0.149143]),
    ):
        slopes = gradient(
            lambda z, f=function: f(y_true, z, from_logits=True), z
        )
        np.testing.assert_allclose(slopes[0], expected, rtol=1e-5)
    zeros = np.zeros((3, 1), "float32")
    assert not gradient(lambda e: losses.log_cosh(zeros, e), zeros).any()


def test_multi_label_by_hand():
    # The slide's form: summed over classes, averaged over samples.
    y_true = [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    y_pred = [[0.5, 0.5, 0.25], [0.5, 0.75, 0.5]]
    loss = losses.MultiLabelCrossentropy(base=2)
    assert float(loss(y_true, y_pred)) == pytest.approx((4 + 4) / 2)
    mean = losses.BinaryCrossentropy(base=2)
    assert float(mean(y_true, y_pred)) == pytest.approx(4 / 3)


@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothing_goes_by_the_axis_of_the_classes(from_logits, rng):
    # The built-in smooths by the length of the last axis, here 5.
    y_true = np.eye(3, dtype="float32")[rng.integers(0, 3, (4, 5))]
    y_pred = rng.uniform(0.1, 1, (4, 5, 3)).astype("float32")
    for loss_class in (
        losses.CategoricalCrossentropy,
        losses.CategoricalFocalCrossentropy,
    ):
        arguments = {"from_logits": from_logits, "label_smoothing": 0.3}
        last = loss_class(reduction=None, **arguments)
        first = loss_class(reduction=None, axis=1, **arguments)
        np.testing.assert_allclose(
            numpy64(first(y_true.swapaxes(1, 2), y_pred.swapaxes(1, 2))),
            numpy64(last(y_true, y_pred)),
            rtol=1e-5,
        )


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("ignore_class", [None, 1])
def test_sparse_axis(from_logits, ignore_class, rng):
    # The built-in supports this on PyTorch only.
    y_true = rng.integers(0, 3, (4, 5))
    y_pred = rng.uniform(0.1, 1, (4, 5, 3)).astype("float32")
    arguments = {"from_logits": from_logits, "ignore_class": ignore_class}
    last = losses.SparseCategoricalCrossentropy(**arguments)
    expected = float(last(y_true, y_pred))
    y_pred = np.ascontiguousarray(y_pred.swapaxes(1, 2))
    for axis in (1, -2):
        first = losses.SparseCategoricalCrossentropy(axis=axis, **arguments)
        assert float(first(y_true, y_pred)) == pytest.approx(expected)
        assert float(first(y_true[:, None], y_pred)) == pytest.approx(expected)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("ignore_class", [-1, 255])
def test_ignored_samples_do_not_count(from_logits, ignore_class, rng):
    y_true = np.array([1, ignore_class, 2, ignore_class, 1])
    y_pred = rng.uniform(0.1, 1, (5, 3)).astype("float32")
    loss = losses.SparseCategoricalCrossentropy(
        from_logits, ignore_class=ignore_class, base=2
    )
    every = losses.SparseCategoricalCrossentropy(from_logits, base=2)
    counted = [0, 2, 4]
    assert float(loss(y_true, y_pred)) == pytest.approx(
        float(every(y_true[counted], y_pred[counted])), rel=1e-5
    )
    slopes = gradient(lambda y: loss(y_true, y), y_pred)
    expected = gradient(lambda y: every(y_true[counted], y), y_pred[counted])
    np.testing.assert_allclose(slopes[counted], expected, rtol=1e-5)
    assert not slopes[[1, 3]].any()
    # Unsigned labels, as in images.
    if ignore_class == 255:
        labels = y_true.astype("uint8")
        assert float(loss(labels, y_pred)) == float(loss(y_true, y_pred))


def test_nothing_but_ignored_samples(rng):
    y_pred = rng.uniform(0.1, 1, (4, 3)).astype("float32")
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert float(loss([-1] * 4, y_pred)) == 0
    assert not gradient(lambda y: loss([-1] * 4, y), y_pred).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("ignore_class", [None, 0])
def test_many_classes_in_16_bits(dtype, ignore_class):
    # `keras.losses.Loss` rounds these labels to other classes.
    labels = [2049, 257, 4095, 3]
    logits = np.zeros((4, 4096), "float32")
    logits[np.arange(4), labels] = 20
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=ignore_class, dtype=dtype
    )
    assert float(loss(labels, logits)) < 0.01
    assert float(loss([[label - 1] for label in labels], logits)) > 15


def test_one_class_warns():
    one_hot = [
        losses.CategoricalCrossentropy,
        losses.CategoricalFocalCrossentropy,
    ]
    for loss_class in one_hot:
        with pytest.warns(SyntaxWarning, match="num_classes > 1"):
            loss_class()([[1.0]], [[0.5]])
        # Last axis of size 1, two classes.
        loss_class(axis=1)([[[1.0], [0.0]]], [[[0.5], [0.5]]])


@pytest.mark.parametrize(
    "loss_class", [losses.BinaryCrossentropy, losses.MultiLabelCrossentropy]
)
def test_half_precision_at_the_ends(loss_class):
    # In 16 bits 1 - epsilon is 1, and the loss of the built-in is NaN.
    p = np.float32([[0, 1]])
    for dtype in ("float16", "bfloat16"):
        loss = loss_class(dtype=dtype)
        assert float(loss([[0, 1]], p)) == pytest.approx(0, abs=1e-3)
        wrong = float(loss([[1, 0]], p)) / float(loss_class()([[1, 0]], p))
        assert wrong == pytest.approx(1, rel=1e-2)
        slopes = gradient(
            lambda p, loss=loss: (
                loss([[1, 0]], p).astype("float32")
                if keras.config.backend() == "jax"
                else ops.cast(loss([[1, 0]], p), "float32")
            ),
            p,
        )
        assert np.isfinite(slopes).all()


@pytest.mark.backend("tensorflow")
def test_logits_are_found_behind_an_activation():
    # As in the built-ins: no clipping at 16 if the model is wrong and sure.
    import tensorflow as tf

    z = tf.constant([[-40.0], [40.0]])
    both = tf.concat([z, -z], -1)

    @tf.function
    def values():
        p, q = tf.sigmoid(z), tf.nn.softmax(both)
        return [
            losses.BinaryCrossentropy()([[1.0], [0.0]], p),
            losses.MultiLabelCrossentropy()([[1.0], [0.0]], p),
            losses.BinaryCrossentropy(dtype="float16")(
                [[1.0], [0.0]], tf.sigmoid(tf.cast(z, "float16"))
            ),
            losses.CategoricalCrossentropy()([[1.0, 0.0], [0.0, 1.0]], q),
            losses.SparseCategoricalCrossentropy()([0, 1], q),
        ]

    expected = [40, 40, 40, 80, 80]
    assert [float(value) for value in values()] == expected


def test_labels_that_are_no_class():
    # TensorFlow and PyTorch refuse them.
    if keras.config.backend() != "jax":
        pytest.skip("refused by the backend")
    y_pred = np.float32([[0.2, 0.8]] * 3)
    ours = losses.sparse_categorical_crossentropy
    builtin = keras.losses.sparse_categorical_crossentropy
    y_true = np.array([-1, 2, 1])
    for from_logits in (True, False):
        np.testing.assert_allclose(
            numpy64(ours(y_true, y_pred, from_logits)),
            numpy64(builtin(y_true, y_pred, from_logits)),
            rtol=1e-6,
        )
        np.testing.assert_allclose(
            gradient(lambda y, f=from_logits: ours(y_true, y, f), y_pred),
            gradient(lambda y, f=from_logits: builtin(y_true, y, f), y_pred),
            rtol=1e-5,
            atol=1e-7,
        )


def test_shapes_that_do_not_fit():
    for function in (
        losses.binary_crossentropy,
        losses.multi_label_crossentropy,
        losses.categorical_crossentropy,
        losses.binary_focal_crossentropy,
    ):
        with pytest.raises(ValueError, match="same shape"):
            function([[1.0, 0.0]], [[0.5, 0.2, 0.3]])
    with pytest.raises(ValueError, match="shape"):
        losses.sparse_categorical_crossentropy([1, 0], [[0.5, 0.2, 0.3]])
