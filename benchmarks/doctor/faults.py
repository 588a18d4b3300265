"""Faults: single changes of a healthy model, its data or its loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.doctor import data
from benchmarks.doctor.models import Spec

Draw = np.random.Generator


class Fault(NamedTuple):
    """A fault that can be injected into a run.

    Attributes:
        problem: The right diagnosis, one of `keras_ext.doctor.PROBLEMS`.
        name: Name of the kind of injection.
        suits: Returns whether a healthy model can have it.
        inject: Returns the faulty model.
    """

    problem: str
    name: str
    suits: Callable[[Spec], bool]
    inject: Callable[[Spec, Draw], Spec]


def _between(rng: Draw, low: float, high: float) -> float:
    """Return a number between two, even in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _dense(s: Spec) -> bool:
    return s.family in ("mlp", "ae")


def _deep(s: Spec) -> bool:
    layers = 2 * s.depth + 1 if s.family == "ae" else s.depth
    return layers >= (4 if s.family == "cnn" else 5) and s.family != "rnn"


def _plain(s: Spec) -> bool:
    return not (s.batch_norm or s.layer_norm or s.residual)


def _rectified(s: Spec) -> bool:
    return s.activation == "relu" and s.family != "rnn"


def _squashing(s: Spec) -> bool:
    return s.activation in ("tanh", "sigmoid") and s.cell in (
        "Dense",
        "Conv2D",
        "SimpleRNN",
    )


def _task(*names: str) -> Callable[[Spec], bool]:
    return lambda s: s.task in names


def _head(*kinds: str) -> Callable[[Spec], bool]:
    return lambda s: s.kind in kinds


def _bad_head(problem: str, name: str, suits: Any, head: str = "") -> Fault:
    return Fault(problem, name, suits, lambda s, r: s.but(head=head or name))


def _damage(
    problem: str, name: str, suits: Any, low: float = 1, high: float = 1.001
) -> Fault:
    return Fault(
        problem,
        name,
        suits,
        lambda s, r: s.but(fault=name, amount=_between(r, low, high)),
    )


_SOME_SCALE = ("wine", "breast_cancer")
_FLAT = ("wine", "breast_cancer", "diabetes", "clusters", "linear", "friedman")

FAULTS = (
    Fault(
        "vanishing_gradient",
        "deep_sigmoid",
        lambda s: _deep(s) and _plain(s),
        lambda s, r: s.but(activation="sigmoid", initializer="glorot_uniform"),
    ),
    Fault(
        "vanishing_gradient",
        "tiny_weights",
        lambda s: _deep(s) and _plain(s),
        lambda s, r: s.but(weight_std=_between(r, 0.02, 0.25)),
    ),
    Fault(
        "vanishing_gradient",
        "small_uniform",
        lambda s: _deep(s) and _plain(s) and s.activation != "sigmoid",
        lambda s, r: s.but(initializer="random_uniform"),
    ),
    Fault(
        "exploding_gradient",
        "huge_weights",
        lambda s: (
            _deep(s)
            and _plain(s)
            and s.activation in ("relu", "elu", "leaky_relu", "selu", "swish")
        ),
        lambda s, r: s.but(weight_std=_between(r, 5, 20)),
    ),
    Fault(
        "exploding_gradient",
        "recurrent_gain",
        lambda s: s.cell == "SimpleRNN" and s.activation == "relu",
        lambda s, r: s.but(recurrent_gain=_between(r, 2.5, 5), clipnorm=None),
    ),
    Fault(
        "exploding_gradient",
        "positive_mean",
        lambda s: _rectified(s) and _dense(s) and s.depth >= 3 and _plain(s),
        lambda s, r: s.but(weight_std=_between(r, 2, 8), weight_mean=1.0),
    ),
    Fault(
        "dying_relu",
        "negative_bias",
        lambda s: _rectified(s) and _plain(s),
        lambda s, r: s.but(bias=-_between(r, 3, 20)),
    ),
    Fault(
        "dying_relu",
        "negative_mean",
        lambda s: (
            _rectified(s) and s.depth >= 2 and _plain(s) and s.width >= 16
        ),
        lambda s, r: s.but(weight_mean=-_between(r, 0.5, 2.0), weight_std=1.4),
    ),
    Fault(
        "saturated_activation",
        "big_weights",
        lambda s: _squashing(s) and _plain(s),
        lambda s, r: s.but(weight_std=_between(r, 10, 60)),
    ),
    Fault(
        "saturated_activation",
        "big_biases",
        lambda s: _squashing(s) and _plain(s),
        lambda s, r: s.but(bias=_between(r, 15, 60), bias_range=True),
    ),
    Fault(
        "saturated_activation",
        "recurrent_gain",
        lambda s: s.cell == "SimpleRNN" and s.activation == "tanh",
        lambda s, r: s.but(
            recurrent_gain=_between(r, 8, 30), weight_std=_between(r, 8, 30)
        ),
    ),
    Fault(
        "symmetric_units",
        "zeros",
        lambda s: True,
        lambda s, r: s.but(initializer="zeros"),
    ),
    Fault(
        "symmetric_units",
        "constant",
        lambda s: s.family != "rnn",
        lambda s, r: s.but(constant=_between(r, 0.01, 0.3)),
    ),
    Fault(
        "overfitting",
        "few_samples",
        lambda s: s.kind != "autoencoder",
        lambda s, r: s.but(
            fewer=int(r.integers(24, 64)),
            batch_size=8,
            width=max(s.width, 64 if s.family != "mlp" else 256),
            epochs=s.epochs * 4,
            dropout=0.0,
            l2=0.0,
            validation=True,
            decay=False,
        ),
    ),
    Fault(
        "overfitting",
        "label_noise",
        _head("binary", "classes"),
        lambda s, r: s.but(
            fault="label_noise",
            amount=r.uniform(0.25, 0.4),
            fewer=320,
            width=max(s.width, 48 if s.family != "mlp" else 256),
            epochs=s.epochs * 3,
            dropout=0.0,
            l2=0.0,
            validation=True,
            decay=False,
        ),
    ),
    Fault(
        "underfitting",
        "few_units",
        lambda s: s.family in ("mlp", "rnn", "cnn"),
        lambda s, r: s.but(width=int(r.integers(1, 3))),
    ),
    Fault(
        "underfitting",
        "strong_l2",
        _plain,
        lambda s, r: s.but(l2=_between(r, 0.1, 3)),
    ),
    Fault(
        "underfitting",
        "strong_dropout",
        lambda s: s.depth >= 2 or s.family == "ae",
        lambda s, r: s.but(dropout=float(r.uniform(0.8, 0.95))),
    ),
    Fault(
        "underfitting",
        "linear_model",
        _task("moons", "friedman", "stripes", "forecast"),
        lambda s, r: s.but(activation="linear"),
    ),
    Fault(
        "learning_rate_too_low",
        "times_small",
        lambda s: True,
        lambda s, r: s.but(
            learning_rate=s.learning_rate * _between(r, 1e-5, 1e-2)
        ),
    ),
    Fault(
        "learning_rate_too_high",
        "times_large",
        lambda s: True,
        lambda s, r: s.but(
            learning_rate=s.learning_rate * _between(r, 30, 1000)
        ),
    ),
    _damage("unscaled_input", "raw", _task(*_SOME_SCALE, "diabetes")),
    _damage("unscaled_input", "one_feature", _task(*_FLAT), 300, 30000),
    _damage(
        "unscaled_input",
        "pixels",
        _task("digits", "digit_images", "digit_rows", "stripes"),
        30,
        3000,
    ),
    _damage(
        "unscaled_input",
        "offset",
        lambda s: s.kind != "autoencoder",
        30,
        1000,
    ),
    _bad_head("output_loss_mismatch", "softmax_one_unit", _head("binary")),
    _bad_head(
        "output_loss_mismatch", "softmax_regression", _head("regression")
    ),
    _bad_head(
        "output_loss_mismatch",
        "sigmoid_regression",
        lambda s: (
            s.kind == "regression"
            or (s.kind == "autoencoder" and s.scaling == "standard")
        ),
    ),
    _bad_head(
        "output_loss_mismatch",
        "relu_regression",
        lambda s: (
            s.kind == "regression"
            or (s.kind == "autoencoder" and s.scaling == "standard")
        ),
    ),
    _bad_head("output_loss_mismatch", "linear_crossentropy", _head("classes")),
    _bad_head("output_loss_mismatch", "linear_one_hot", _head("classes")),
    _bad_head("output_loss_mismatch", "linear_binary", _head("binary")),
    _bad_head("output_loss_mismatch", "tanh_binary", _head("binary")),
    _bad_head("output_loss_mismatch", "mse_on_classes", _head("classes")),
    _bad_head(
        "output_loss_mismatch", "one_sigmoid_for_classes", _head("classes")
    ),
    _bad_head("output_loss_mismatch", "logits_of_softmax", _head("classes")),
    _bad_head("output_loss_mismatch", "logit_of_sigmoid", _head("binary")),
    _bad_head("output_loss_mismatch", "relu_softmax", _head("classes")),
    Fault(
        "output_loss_mismatch",
        "softmax_hidden",
        lambda s: s.family != "rnn" and _plain(s),
        lambda s, r: s.but(activation="softmax"),
    ),
    _damage("numerical_instability", "nan_inputs", lambda s: True),
    _damage("numerical_instability", "infinite_inputs", lambda s: True),
    _damage("numerical_instability", "nan_targets", _head("regression")),
    _damage("numerical_instability", "divided_by_zero", _task(*_FLAT)),
    _damage(
        "numerical_instability",
        "by_its_sum",
        lambda s: _dense(s) and s.kind != "autoencoder",
    ),
    _damage("numerical_instability", "half_precision", lambda s: True),
    _bad_head(
        "numerical_instability",
        "log_of_product",
        lambda s: s.kind == "classes",
    ),
    _bad_head("numerical_instability", "entropy_by_hand", _head("binary")),
    Fault(
        "numerical_instability",
        "relative_error",
        _head("regression"),
        lambda s, r: s.but(head="relative_error", fault="relative_error"),
    ),
    _bad_head(
        "numerical_instability", "logarithmic_error", _head("regression")
    ),
)


def damaged(spec: Spec, clean: data.Split) -> data.Split:
    """Return the data of a spec, with its fault in it."""
    rng = np.random.default_rng(spec.seed + 17)
    x, y = clean.x.copy(), clean.y.copy()
    x_test, y_test = clean.x_test.copy(), clean.y_test
    whole = spec.kind == "autoencoder"
    name, amount = spec.fault, spec.amount
    if name == "raw":
        x, x_test = data.raw(spec.task, spec.split_seed)
    elif name == "one_feature":
        feature = rng.integers(x.shape[-1])
        for part in (x, x_test):
            part[..., feature] *= amount
    elif name == "pixels":
        x, x_test = (part * amount + amount for part in (x, x_test))
    elif name == "offset":
        x, x_test = x + amount, x_test + amount
    elif name == "label_noise":
        hit = rng.random(len(y)) < amount
        y[hit] = rng.permutation(y[hit])
    elif name in ("nan_inputs", "infinite_inputs"):
        rows = rng.choice(len(x), max(1, len(x) // 50), replace=False)
        flat = x.reshape(len(x), -1)
        flat[rows, rng.integers(flat.shape[1])] = (
            np.nan if name == "nan_inputs" else np.inf
        )
        x = flat.reshape(x.shape)
    elif name == "nan_targets":
        y[rng.choice(len(y), max(1, len(y) // 50), replace=False)] = np.nan
    elif name == "divided_by_zero":
        constant = np.full((len(x), 1), np.nan, "float32")
        feature = rng.integers(x.shape[-1])
        x[:, feature : feature + 1] = constant
        x_test[:, feature] = np.nan
    elif name == "relative_error":
        y = np.where(rng.random(len(y)) < 0.03, 0, y).astype("float32")
    if whole:
        y = x
    if spec.fewer:
        x, y = x[: spec.fewer], y[: spec.fewer]
    n = max(1, len(x) // spec.batch_size) * spec.batch_size
    return data.Split(x[:n], y[:n], x_test, y_test, clean.chance)
