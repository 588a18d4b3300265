"""Histories of which it is known beforehand what a rule must find."""

import dataclasses

import numpy as np
import pytest

from keras_ext.doctor.facts.data import batch_facts
from keras_ext.doctor.rules.outputs import output_loss_mismatch
from keras_ext.doctor.rules.static import (
    numerical_instability_in_data,
    symmetric_units,
    unscaled_input,
    unscaled_target,
)
from keras_ext.doctor.run_history import (
    Facts,
    LayerFacts,
    OutputFacts,
    RunHistory,
)

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(64, 10)).astype("float32")
CLASSES = RNG.integers(0, 3, 64)
CLASSES[:3] = 0, 1, 2
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
BINARY = np.arange(64) % 2
SPARSE = "sparse_categorical_crossentropy"
ONE_HOT_LOSS = "categorical_crossentropy"
BCE = "binary_crossentropy"
MSE = "mean_squared_error"


def dense(path="hidden", **changes):
    known = {
        "activation": "relu",
        "units": 16,
        "fan_in": 10,
        "weight_std": 0.3,
        "feeds": ("Dense",),
    }
    return LayerFacts(path, "Dense", **known | changes)


def head(**changes):
    return dense("out", **{"activation": None, "feeds": ("output",)} | changes)


def history(x=NORMAL, y=None, layers=None, outputs=(), **facts):
    layers = (dense(), head()) if layers is None else tuple(layers)
    facts = Facts(layers, tuple(outputs), **facts)
    return RunHistory(facts, None if x is None else batch_facts(x, y, outputs))


def severity(findings):
    assert len(findings) <= 1, findings
    if not findings:
        return None
    assert findings[0].message.endswith(".")
    assert findings[0].epoch is None
    assert findings[0].remedies
    return findings[0].severity


# Outputs and losses


def of_output(activation, units, loss, y=None, **changes):
    output = OutputFacts("out", activation, units, loss, **changes)
    return severity(output_loss_mismatch(history(y=y, outputs=[output])))


SIGNED = 2 * BINARY - 1
STANDARD = RNG.normal(size=(64, 1))
COUNTS = RNG.poisson(2.0, 64)
MSLE = "mean_squared_logarithmic_error"
UNIT = RNG.uniform(size=(64, 10))
MULTI_HOT = (RNG.uniform(size=(64, 3)) < 0.6).astype("float32")


@pytest.mark.parametrize(
    "activation, units, loss, y",
    [
        ("softmax", 3, SPARSE, CLASSES),
        ("softmax", 3, SPARSE, CLASSES[:, None]),
        ("softmax", 3, SPARSE, CLASSES.astype("float32")),
        ("softmax", 3, SPARSE, np.minimum(CLASSES, 1)),  # a class is missing
        ("softmax", 3, SPARSE, None),
        ("softmax", 3, ONE_HOT_LOSS, ONE_HOT),
        ("softmax", 3, ONE_HOT_LOSS, 0.9 * ONE_HOT + 0.1 / 3),
        ("softmax", 3, "categorical_focal_crossentropy", ONE_HOT),
        ("softmax", 3, "kl_divergence", ONE_HOT),
        ("sigmoid", 1, BCE, BINARY),
        ("sigmoid", 1, BCE, BINARY[:, None].astype(bool)),
        ("sigmoid", 3, BCE, MULTI_HOT),
        ("sigmoid", 3, "multi_label_crossentropy", MULTI_HOT),
        ("sigmoid", 10, BCE, UNIT),  # an autoencoder of pixels
        ("sigmoid", 10, MSE, UNIT),
        ("sigmoid", 10, MSE, 1.05 * UNIT),
        ("sigmoid", 1, MSE, BINARY),
        ("tanh", 10, MSE, 2 * UNIT - 1),
        ("relu", 1, MSE, 100 * UNIT[:, :1]),
        ("softplus", 1, "poisson", COUNTS),
        (None, 1, MSE, STANDARD),
        (None, 1, "huber", STANDARD[:, 0]),
        (None, 10, MSE, NORMAL),
        (None, 3, "quantile", STANDARD),
        (None, 1, "hinge", SIGNED),
        ("tanh", 1, "hinge", BINARY),
        ("tanh", 1, "exponential", SIGNED),
        (None, 5, None, CLASSES),
        (None, 5, "cosine_similarity", NORMAL),
    ],
)
def test_fitting_outputs_are_silent(activation, units, loss, y):
    assert of_output(activation, units, loss, y) is None


@pytest.mark.parametrize(
    "y, expected",
    [
        (np.arange(60) % 5, "warning"),
        (np.arange(64) % 3, "warning"),
        (np.minimum(COUNTS, 7), "info"),
        (1 + np.arange(60) % 5, None),
    ],
)
def test_whole_numbers_that_are_equally_frequent_are_classes(y, expected):
    assert of_output(None, 1, MSE, y) == expected


@pytest.mark.parametrize("loss", [SPARSE, ONE_HOT_LOSS, BCE])
def test_logits_are_silent(loss):
    y = {SPARSE: CLASSES, ONE_HOT_LOSS: ONE_HOT, BCE: MULTI_HOT}[loss]
    assert of_output(None, 3, loss, y, from_logits=True) is None


@pytest.mark.parametrize(
    "activation, units, loss, y, expected",
    [
        ("softmax", 1, BCE, BINARY, "error"),
        ("softmax", 1, MSE, STANDARD, "error"),
        ("sigmoid", 1, ONE_HOT_LOSS, BINARY, "error"),
        ("sigmoid", 1, SPARSE, BINARY, "error"),
        (None, 3, SPARSE, CLASSES, "error"),
        (None, 1, BCE, BINARY, "error"),
        ("relu", 3, ONE_HOT_LOSS, ONE_HOT, "error"),
        ("tanh", 1, BCE, BINARY, "error"),
        ("sigmoid", 3, ONE_HOT_LOSS, ONE_HOT, "warning"),
        ("sigmoid", 3, SPARSE, CLASSES, "warning"),
        ("softmax", 3, BCE, ONE_HOT, "warning"),
        ("softmax", 2, BCE, np.eye(2)[BINARY], "info"),
        ("softmax", 3, MSE, ONE_HOT, "info"),
        ("softmax", 3, MSE, CLASSES, "error"),
        ("softmax", 10, MSE, NORMAL, "error"),
        ("softmax", 10, "mean_absolute_error", UNIT, "error"),
        ("sigmoid", 1, MSE, STANDARD, "error"),
        ("relu", 1, MSE, STANDARD, "error"),
        ("tanh", 1, MSE, 30 * STANDARD, "error"),
        ("tanh", 1, MSE, np.linspace(-1.2, 1.2, 64), "warning"),
        (None, 1, MSE, CLASSES, "warning"),
        (None, 3, MSE, CLASSES, "error"),
        (None, 1, "poisson", COUNTS, "warning"),
        ("sigmoid", 1, "hinge", SIGNED, "warning"),
        # Labels
        ("softmax", 3, SPARSE, CLASSES + 1, "error"),
        ("softmax", 3, SPARSE, CLASSES - 1, "error"),
        ("softmax", 3, SPARSE, ONE_HOT, "error"),
        ("softmax", 3, SPARSE, STANDARD[:, 0], "error"),
        ("softmax", 3, ONE_HOT_LOSS, CLASSES, "error"),
        ("softmax", 3, ONE_HOT_LOSS, 255 * ONE_HOT, "error"),
        ("softmax", 3, ONE_HOT_LOSS, MULTI_HOT, "warning"),
        ("sigmoid", 1, BCE, SIGNED, "error"),
        ("sigmoid", 1, BCE, CLASSES, "error"),
        ("sigmoid", 10, BCE, NORMAL, "error"),
        ("sigmoid", 3, BCE, BINARY, "error"),
        (None, 1, "hinge", CLASSES, "error"),
    ],
)
def test_mismatches_are_found(activation, units, loss, y, expected):
    assert of_output(activation, units, loss, y) == expected


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "relu"])
def test_probabilities_are_no_logits(activation):
    args = (activation, 3, ONE_HOT_LOSS, ONE_HOT)
    assert of_output(*args, from_logits=True) == "warning"


def test_ignored_labels_are_not_out_of_range():
    y = np.where(CLASSES == 0, 255, CLASSES)
    assert of_output("softmax", 3, SPARSE, y) == "error"
    assert of_output("softmax", 3, SPARSE, y, ignore_class=255) is None


def test_of_unknown_activations_only_labels_are_judged():
    unknown = {"known": False}
    assert of_output(None, 3, SPARSE, CLASSES, **unknown) is None
    assert of_output(None, 1, SPARSE, CLASSES, **unknown) is None
    assert of_output(None, 3, SPARSE, CLASSES - 1, **unknown) == "error"


def test_targets_of_several_outputs_are_not_mixed():
    outputs = [
        OutputFacts("a", "sigmoid", 1, BCE),
        OutputFacts("b", None, 1, MSE),
    ]
    y = [BINARY, 100 * STANDARD]
    assert not output_loss_mismatch(history(y=y, outputs=outputs))


def test_what_a_persons_own_train_step_does_is_unknown():
    output = OutputFacts("out", None, 3, SPARSE)
    given = history(y=CLASSES, outputs=[output])
    assert output_loss_mismatch(given)
    own = dataclasses.replace(given.facts, own_train_step=True)
    assert not output_loss_mismatch(dataclasses.replace(given, facts=own))


def test_the_layer_of_the_output_is_named():
    output = OutputFacts("out", None, 3, SPARSE)
    (finding,) = output_loss_mismatch(history(y=CLASSES, outputs=[output]))
    assert finding.layer == "out"
    assert finding.evidence["loss"] == SPARSE
    assert finding.evidence["activation"] == "linear"


@pytest.mark.parametrize(
    "feeds, expected",
    [
        (("Dense",), "warning"),
        (("Conv2D", "Dense"), "warning"),
        (("output",), None),
        (("Multiply",), None),  # attention
        (("Dense", "Dot"), None),
        (("Dense", "output"), None),
        (("?",), None),
        (None, None),
    ],
)
def test_softmax_in_hidden_layers(feeds, expected):
    layers = [dense(activation="softmax", feeds=feeds), head()]
    found = output_loss_mismatch(history(layers=layers))
    assert severity(found) == expected
    assert not found or found[0].layer == "hidden"


# Inputs


def features(*scales):
    return NORMAL[:, : len(scales)] * np.array(scales)


def outliers():
    x = NORMAL.copy()
    x[3, 2], x[9, 9] = 40.0, -25.0
    return x


def rare_features():
    x = np.zeros((64, 500), "float32")
    x[np.arange(64), RNG.integers(0, 500, 64)] = 1.0
    return x


def tf_idf():
    x = rare_features() * RNG.uniform(0.1, 1, 500)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def counts():
    return RNG.poisson(np.geomspace(0.01, 20, 300), size=(64, 300))


def constant_features():
    x = NORMAL.copy()
    x[:, 0], x[:, 1] = 0.0, 1.0
    return x


@pytest.mark.parametrize(
    "x",
    [
        NORMAL,
        NORMAL[:, :1],
        outliers(),
        constant_features(),
        rare_features(),
        tf_idf(),
        counts().astype("float32"),
        features(1.0, 0.01, 0.01, 0.001),
        0.05 * NORMAL,  # scikit-learn's diabetes
        RNG.uniform(size=(64, 8, 8, 1)),
        RNG.uniform(-1, 1, size=(64, 8, 8, 3)),
        RNG.integers(0, 2, size=(64, 10)),
        RNG.normal(size=(64, 20, 4)).cumsum(axis=1) / 4,
        np.zeros((64, 3)),
        np.ones((64, 3)),
        (NORMAL, RNG.integers(0, 5000, (64, 7))),
    ],
    ids=lambda x: None,
)
def test_scaled_inputs_are_silent(x):
    assert severity(unscaled_input(history(x))) in (None, "info")
    if not (isinstance(x, np.ndarray) and x.shape[-1] == 300):
        assert unscaled_input(history(x)) == []


@pytest.mark.parametrize(
    "x, expected",
    [
        (100 * NORMAL, "warning"),
        (NORMAL + 50, "warning"),
        (RNG.integers(0, 256, (64, 8, 8, 1)), "warning"),
        (RNG.uniform(0, 255, (64, 8, 8, 3)), "warning"),
        (features(1, 1, 1, 2000), "warning"),
        (features(1, 1000), "warning"),
        (features(0.1, 2, 20, 700), "warning"),  # scikit-learn's wine
        (1e-4 * NORMAL, "warning"),
        (RNG.uniform(0, 16, (64, 64)), "info"),  # scikit-learn's digits
        (5 * NORMAL, "info"),
    ],
    ids=lambda x: None,
)
def test_unscaled_inputs_are_found(x, expected):
    assert severity(unscaled_input(history(x))) == expected


@pytest.mark.parametrize(
    "facts",
    [
        {"normalizes_input": True},
        {"layers": [dense(trainable=False), head()]},
        {"layers": [LayerFacts("e", "Embedding", weight_std=0.1), head()]},
        {"layers": []},
    ],
)
def test_inputs_that_meet_no_new_weights_are_silent(facts):
    assert severity(unscaled_input(history(100 * NORMAL, **facts))) is None


def test_ids_that_a_layer_of_ones_own_looks_up_are_silent():
    ids = RNG.integers(0, 500, (64, 10))
    table = LayerFacts(
        "tokens/table", "TokenEmbedding", weight_std=0.1, is_entry=True
    )
    mask = dense("mask", is_entry=True)
    for layers in ([table, head()], [mask, table, head()]):
        assert unscaled_input(history(ids, layers=layers)) == []
        assert unscaled_input(history(9.5 * ids, layers=layers)) != []
    assert unscaled_input(history(ids)) != []


def test_a_normalization_behind_the_first_layer_makes_it_an_info():
    norm = LayerFacts("norm", "BatchNormalization")
    first = dense(activation=None, is_normalized=True)
    layers = [first, norm, head()]
    assert severity(unscaled_input(history(100 * NORMAL, layers=layers))) == (
        "info"
    )
    # Features of unlike ranges stay so.
    x = features(1, 1, 1, 2000)
    assert severity(unscaled_input(history(x, layers=layers))) == "warning"


def test_without_data_there_is_nothing_to_say():
    given = history(None)
    assert not unscaled_input(given)
    assert not numerical_instability_in_data(given)


@pytest.mark.parametrize(
    "y, loss, expected",
    [
        (STANDARD, MSE, None),
        (20 * STANDARD, MSE, None),
        (200 * STANDARD, MSE, "info"),
        (1e8 * STANDARD, MSE, "warning"),
        (STANDARD + 500, "huber", "info"),
        (1e-5 * STANDARD, MSE, "warning"),
        (0 * STANDARD, MSE, None),
        (1e8 * STANDARD, None, None),
        (1e8 * STANDARD, "mean_absolute_percentage_error", None),
    ],
)
def test_the_scale_of_targets(y, loss, expected):
    outputs = [OutputFacts("out", None, 1, loss)]
    assert severity(unscaled_target(history(y=y, outputs=outputs))) == expected


# Weights that start alike


@pytest.mark.parametrize(
    "layers, expected",
    [
        ([dense(identical_units=True), head()], "error"),  # dead
        (
            [
                dense(identical_units=True, activation="tanh"),
                head(identical_units=True),
            ],
            "error",
        ),
        ([dense(identical_units=True, activation="tanh"), head()], "warning"),
        ([dense(), dense("b", identical_units=True), head()], "error"),
        (
            [
                dense(identical_units=True, activation=None),
                LayerFacts("norm", "BatchNormalization"),
                LayerFacts("relu", "ReLU", "relu"),
                head(),
            ],
            "error",
        ),
        ([dense(identical_units=True, feeds=None), head()], "error"),
        ([dense(), head()], None),
        ([dense(), head(identical_units=True)], None),
        ([head(identical_units=True)], None),
        ([dense(identical_units=True, units=1), head()], None),
        ([dense(identical_units=True, trainable=False), head()], None),
        # The last layers of a branch, and what a person's own code does.
        ([dense(identical_units=True, feeds=("Add",)), head()], None),
        ([dense(identical_units=True, feeds=("?",)), head()], None),
        (
            [
                dense(identical_units=True, activation=None, feeds=None),
                head(),
            ],
            None,
        ),
        ([], None),
    ],
)
def test_units_that_start_alike(layers, expected):
    assert severity(symmetric_units(history(layers=layers))) == expected


def test_one_finding_names_the_first_layer_and_counts_them():
    layers = [dense(identical_units=True), dense("b", identical_units=True)]
    (finding,) = symmetric_units(history(layers=[*layers, head()]))
    assert finding.layer == "hidden"
    assert finding.evidence["layers"] == 2


# Data


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_bad_number_is_found(bad):
    x = NORMAL.copy()
    x[5, 5] = bad
    outputs = [OutputFacts("out", None, 1, MSE)]
    (finding,) = numerical_instability_in_data(
        history(x, STANDARD, outputs=outputs)
    )
    assert finding.problem == "numerical_instability"
    assert finding.severity == "error"
    assert finding.evidence["nonfinite_inputs"] == pytest.approx(1 / 640)


def test_bad_targets_are_an_info_where_the_loss_may_leave_them_out():
    y = STANDARD.copy()
    y[7] = np.nan
    for loss, expected in ((MSE, "error"), (None, "info")):
        outputs = [OutputFacts("out", None, 1, loss)]
        found = numerical_instability_in_data(history(y=y, outputs=outputs))
        assert severity(found) == expected


def test_good_data_are_silent():
    outputs = [OutputFacts("out", None, 1, MSE)]
    for y in (STANDARD, None):
        given = history(y=y, outputs=outputs)
        assert not numerical_instability_in_data(given)


# What the rules are given


def test_batch_facts_are_those_of_numpy():
    x = NORMAL.astype("float64")
    x[0, 0] = np.nan
    facts = batch_facts({"a": x, "name": np.array(["b"] * 64)}, BINARY)
    finite = x[np.isfinite(x)]
    assert facts.x_low == finite.min()
    assert facts.x_high == finite.max()
    assert facts.x_mean == pytest.approx(finite.mean())
    assert facts.x_std == pytest.approx(finite.std())
    assert facts.x_nonfinite == pytest.approx(1 / 640)
    want = np.sqrt(np.nanmean(x**2, axis=0))
    np.testing.assert_allclose(facts.feature_scales, want)
    assert facts.size == 64
    assert facts.y_whole
    assert facts.y_units == 1
    assert not batch_facts(x, STANDARD).y_whole


def test_whole_numbers_have_no_scale():
    facts = batch_facts(RNG.integers(0, 9, (64, 5)), ONE_HOT)
    assert len(facts.feature_scales) == 0
    assert facts.x_high == 8
    assert facts.y_units == 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_are_read(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    facts = batch_facts(np.full((1000, 4), 300.0).astype(dtype))
    assert facts.x_mean == pytest.approx(300.0)
    assert facts.feature_scales == pytest.approx([300.0] * 4)


def test_shares_of_classes():
    shares = np.bincount(CLASSES) / 64
    for loss, y in ((SPARSE, CLASSES), (ONE_HOT_LOSS, ONE_HOT)):
        outputs = [OutputFacts("out", "softmax", 3, loss)]
        facts = batch_facts(NORMAL, y, outputs)
        np.testing.assert_allclose(facts.class_shares, shares)
    outputs = [OutputFacts("out", "sigmoid", 1, BCE)]
    facts = batch_facts(NORMAL, BINARY, outputs)
    np.testing.assert_allclose(facts.class_shares, [0.5, 0.5])
    assert not len(batch_facts(NORMAL, STANDARD).class_shares[1:])


def test_no_data_are_no_error():
    facts = batch_facts(np.array(["a", "b"]))
    assert np.isnan(facts.x_low)
    assert np.isnan(facts.y_low)
    assert facts.size == 0
    assert not unscaled_input(RunHistory(Facts((dense(),)), facts))
