"""Random models, and how they are built."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from benchmarks.doctor.data import TASKS, Split

LAYERS = keras.layers


@dataclass(frozen=True)
class Spec:
    """Everything that a run is made of; a fault is a change of it.

    Attributes:
        seed: Of the weights, of shuffling and of dropout.
        task: The data set.
        split_seed: Of the data's split.
        scaling: See `data.split`.
        family: `"mlp"`, `"cnn"`, `"rnn"` or `"ae"`.
        depth: Number of hidden layers; in an autoencoder, of its encoder;
            in a CNN, of convolutions.
        width: Units of a hidden layer.
        activation: Of the hidden layers; of a recurrent layer's cell.
        cell: Class of the recurrent layers.
        initializer: Of the hidden kernels.
        weight_std, weight_mean: Hidden kernels are drawn from this normal
            distribution, `weight_std` being a multiple of 1/√fan-in.
        residual: Whether dense layers of one width add their inputs.
        tapers: Whether each dense layer has half of the units of the one
            before, but eight at least.
        constant: All entries of the hidden kernels.
        recurrent_gain: Gain of the orthogonal recurrent kernels.
        bias: All entries of the hidden biases, or, if `bias_range`, the end
            of the range from which they are drawn.
        head: The output and its loss, see `_HEADS`.
        fault: A change of data, model or loss, see `damaged` and `build`.
        amount: Its size.
        fewer: Number of training samples to keep.
    """

    seed: int
    task: str
    split_seed: int
    scaling: str
    family: str
    depth: int
    width: int
    activation: str
    initializer: str
    head: str
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int
    cell: str = "Dense"
    dropout: float = 0.0
    batch_norm: bool = False
    layer_norm: bool = False
    residual: bool = False
    tapers: bool = False
    l2: float = 0.0
    validation: bool = True
    metrics: bool = True
    clipnorm: float | None = None
    decay: bool = False
    apart: bool = False
    sequential: bool = True
    weight_std: float | None = None
    weight_mean: float = 0.0
    constant: float | None = None
    recurrent_gain: float | None = None
    bias: float | None = None
    bias_range: bool = False
    fault: str | None = None
    amount: float = 0.0
    fewer: int | None = None

    @property
    def kind(self) -> str:
        """The kind of the task."""
        return TASKS[self.task].kind

    def but(self, **changes: Any) -> "Spec":
        """Return the spec with changes."""
        return dataclasses.replace(self, **changes)


# Fewer steps are too few to learn anything.
ENOUGH = 300
# These are so small that an epoch has few steps.
_LONG = ("wine", "diabetes", "breast_cancer", "coded_cancer")

_RATES = {
    "Adam": (1e-3, 6e-3),
    "AdamW": (1e-3, 6e-3),
    "RMSprop": (7e-4, 3e-3),
    "SGD": (0.05, 0.25),
    "momentum": (0.01, 0.05),
}


def draw(rng: np.random.Generator, seed: int) -> Spec:
    """Return a model that a sensible person could have made."""

    def pick(options):
        return options[rng.integers(len(options))]

    def maybe(probability):
        return bool(rng.random() < probability)

    task = TASKS[pick(list(TASKS))]
    family = pick(task.families)
    scaling = pick(["standard", "standard", "minmax"])
    if task.name in ("waves", "forecast", "majority", "stripes"):
        scaling = "standard"
    cell = "Dense"
    batch_norm, dropout = maybe(0.25), pick([0, 0, 0, 0.1, 0.2, 0.3])
    if family == "mlp":
        activation = pick(
            ["relu"] * 5
            + ["tanh", "elu", "leaky_relu", "selu", "sigmoid", "gelu", "silu"]
        )
        deepest = {"sigmoid": 2, "tanh": 5}.get(activation, 9)
        depth = int(rng.integers(1, deepest + 1))
        width = pick([16, 24, 32, 48, 64, 96, 128])
    elif family == "cnn":
        activation = pick(["relu"] * 4 + ["elu", "tanh", "leaky_relu", "swish"])
        depth, width = int(rng.integers(1, 5)), pick([8, 12, 16])
        cell = "Conv2D"
    elif family == "rnn":
        cell = pick(["SimpleRNN", "LSTM", "GRU"])
        activation, depth = "tanh", pick([1, 1, 2])
        width, batch_norm = pick([16, 24, 32, 48]), False
        if cell == "SimpleRNN" and maybe(0.3):
            activation = "relu"
    else:
        activation = pick(["relu", "relu", "elu", "tanh", "leaky_relu"])
        depth, width = int(rng.integers(1, 4)), pick([32, 48, 64, 96])
        dropout = pick([0, 0, 0, 0.1])
    if activation == "selu":
        initializer = "lecun_normal"
    elif activation in ("tanh", "sigmoid"):
        initializer = pick(["glorot_uniform", "glorot_normal"])
    else:
        initializer = pick(
            ["he_normal", "he_uniform"]
            + (["glorot_uniform"] if depth <= 5 else [])
        )
    residual = family == "mlp" and depth >= 3 and maybe(0.2)
    optimizer = pick(["Adam", "Adam", "AdamW", "RMSprop", "SGD", "momentum"])
    low, high = _RATES[optimizer]
    rate = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if depth > 5:
        rate /= 2
    if family == "ae" and optimizer in ("SGD", "momentum"):
        rate *= 8  # The loss is a mean over many outputs.
    heads = {
        "binary": ["sigmoid", "sigmoid", "logit", "two_classes"],
        "classes": ["softmax", "softmax", "logits", "one_hot"],
        "regression": ["linear", "linear", "absolute", "huber"],
        "autoencoder": ["linear", "linear", "absolute"],
    }[task.kind]
    if task.kind == "autoencoder" and scaling == "minmax":
        heads = ["linear", "squashed", "squashed_entropy"]
    long = task.name in _LONG
    batch_size = pick([8, 16, 32] if long else [16, 32, 64])
    epochs = int(rng.integers(10 if long else 5, 26))
    while epochs * (task.train // batch_size) < ENOUGH and batch_size > 8:
        batch_size //= 2
    return Spec(
        seed=seed,
        task=task.name,
        split_seed=int(rng.integers(1000)),
        scaling=scaling,
        family=family,
        depth=depth,
        width=width,
        activation=activation,
        initializer=initializer,
        head=pick(heads),
        optimizer=optimizer,
        learning_rate=rate,
        batch_size=batch_size,
        epochs=epochs,
        cell=cell,
        dropout=float(dropout),
        batch_norm=batch_norm,
        l2=pick([0.0, 0.0, 0.0, 1e-5, 1e-4]),
        validation=maybe(0.75),
        metrics=maybe(0.8),
        clipnorm=1.0 if maybe(0.1) else None,
        decay=maybe(0.1),
        apart=maybe(0.4),
        layer_norm=not batch_norm and family in ("mlp", "ae") and maybe(0.12),
        residual=residual,
        tapers=not residual and family == "mlp" and maybe(0.25),
        sequential=not residual and maybe(0.6),
    )


def log_of_product(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy as people write it: 0 · log 0 is NaN."""
    p = ops.cast(ops.cast(y_pred, "float16"), "float32")
    return -ops.sum(y_true * ops.log(p), axis=-1)


def relative_error(y_true: Any, y_pred: Any) -> Any:
    """Squared relative error: infinite where a target is 0."""
    return ops.mean(ops.square((y_pred - y_true) / y_true), axis=-1)


def logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """Squared difference of logarithms: NaN for negative predictions."""
    return ops.mean(
        ops.square(ops.log(y_pred) - ops.log(ops.abs(y_true) + 1)), axis=-1
    )


def entropy_by_hand(y_true: Any, y_pred: Any) -> Any:
    """Binary cross-entropy with nothing to keep it from log 0."""
    y = ops.cast(ops.reshape(y_true, (-1, 1)), "float32")
    p = ops.cast(ops.cast(y_pred, "float16"), "float32")
    return -ops.mean(y * ops.log(p) + (1 - y) * ops.log(1 - p), axis=-1)


class ByItsSum(LAYERS.Layer):
    """Divides each sample by the sum of its positive entries, if any."""

    def call(self, x):
        """Return shares, NaN where no entry is positive."""
        x = ops.relu(x - 0.5)
        return x / ops.sum(x, axis=-1, keepdims=True)


class HalfPrecision(LAYERS.Layer):
    """Scales up in float16, whose largest number is 65504."""

    def call(self, x):
        """Return the inputs, with infinities."""
        large = ops.cast(x, "float16") * 2e4
        return ops.cast(large, "float32") / 2e4


_SCCE, _LOSSES = "sparse_categorical_crossentropy", keras.losses

# Name: units (None: of the task), activation, loss, whether targets become
# one-hot.
_HEADS: dict[str, tuple[int | None, str | None, Callable[[], Any], bool]] = {
    "sigmoid": (1, "sigmoid", lambda: "binary_crossentropy", False),
    "logit": (1, None, lambda: _LOSSES.BinaryCrossentropy(True), False),
    "two_classes": (2, "softmax", lambda: _SCCE, False),
    "softmax": (None, "softmax", lambda: _SCCE, False),
    "logits": (
        None,
        None,
        lambda: _LOSSES.SparseCategoricalCrossentropy(from_logits=True),
        False,
    ),
    "one_hot": (None, "softmax", lambda: "categorical_crossentropy", True),
    "linear": (None, None, lambda: "mse", False),
    "absolute": (None, None, lambda: "mae", False),
    "huber": (None, None, lambda: _LOSSES.Huber(), False),
    "squashed": (None, "sigmoid", lambda: "mse", False),
    "squashed_entropy": (
        None,
        "sigmoid",
        lambda: "binary_crossentropy",
        False,
    ),
    # Unfit for the task.
    "softmax_one_unit": (1, "softmax", lambda: "binary_crossentropy", False),
    "softmax_regression": (None, "softmax", lambda: "mse", False),
    "sigmoid_regression": (None, "sigmoid", lambda: "mse", False),
    "relu_regression": (None, "relu", lambda: "mse", False),
    "linear_crossentropy": (None, None, lambda: _SCCE, False),
    "linear_one_hot": (None, None, lambda: "categorical_crossentropy", True),
    "linear_binary": (1, None, lambda: "binary_crossentropy", False),
    "tanh_binary": (1, "tanh", lambda: "binary_crossentropy", False),
    "mse_on_classes": (1, None, lambda: "mse", False),
    "one_sigmoid_for_classes": (
        1,
        "sigmoid",
        lambda: "binary_crossentropy",
        False,
    ),
    "logits_of_softmax": (
        None,
        "softmax",
        lambda: _LOSSES.SparseCategoricalCrossentropy(from_logits=True),
        False,
    ),
    "logit_of_sigmoid": (
        1,
        "sigmoid",
        lambda: _LOSSES.BinaryCrossentropy(True),
        False,
    ),
    "relu_softmax": (None, "relu", lambda: _SCCE, False),
    # Losses that become NaN.
    "log_of_product": (None, "softmax", lambda: log_of_product, True),
    "entropy_by_hand": (1, "sigmoid", lambda: entropy_by_hand, False),
    "relative_error": (None, None, lambda: relative_error, False),
    "logarithmic_error": (None, None, lambda: logarithmic_error, False),
}


def classes_of(spec: Spec, data: Split) -> int:
    """Return how many outputs the task asks for."""
    if spec.kind == "autoencoder":
        return data.x.shape[-1]
    if spec.kind == "classes":
        return int(data.y_test.max()) + 1
    return 1


def targets(spec: Spec, data: Split, y: np.ndarray) -> np.ndarray:
    """Return the targets as the spec's loss takes them."""
    if _HEADS[spec.head][3]:
        return np.eye(classes_of(spec, data), dtype="float32")[y]
    return y


def _kernel(spec: Spec, seed: int) -> Any:
    if spec.constant is not None:
        return keras.initializers.Constant(spec.constant)
    if spec.weight_std is not None or spec.weight_mean:
        return _Normal(spec.weight_mean, spec.weight_std or 1.0, seed)
    if spec.initializer in ("zeros", "ones"):
        return spec.initializer
    return keras.initializers.get(
        {
            "class_name": "".join(
                part.title() for part in spec.initializer.split("_")
            ),
            "config": {"seed": seed},
        }
    )


class _Normal(keras.initializers.Initializer):
    """Normal entries, in multiples of 1/√fan-in."""

    def __init__(self, mean, std, seed):
        self.mean, self.std, self.seed = mean, std, seed

    def __call__(self, shape, dtype=None):
        unit = 1 / np.sqrt(np.prod(shape[:-1]))
        return keras.random.normal(
            shape, self.mean * unit, self.std * unit, dtype, self.seed
        )


def _bias(spec: Spec, seed: int) -> Any:
    if spec.bias is None:
        return "zeros"
    if spec.bias_range:
        return keras.initializers.RandomUniform(-spec.bias, spec.bias, seed)
    return keras.initializers.Constant(spec.bias)


def _hidden(spec: Spec, make: Callable[..., Any], index: int) -> list[Any]:
    """Return a layer with its normalization, activation and dropout."""
    options = {
        "kernel_initializer": _kernel(spec, spec.seed * 100 + index),
        "bias_initializer": _bias(spec, spec.seed * 100 + index),
    }
    if spec.l2:
        options["kernel_regularizer"] = keras.regularizers.L2(spec.l2)
    layers = []
    if spec.batch_norm or spec.layer_norm or spec.apart:
        layers.append(make(**options))
        if spec.batch_norm:
            layers.append(LAYERS.BatchNormalization())
        if spec.layer_norm:
            layers.append(LAYERS.LayerNormalization())
        layers.append(
            LAYERS.ReLU()
            if spec.activation == "relu" and index % 2
            else LAYERS.Activation(spec.activation)
        )
    else:
        layers.append(make(activation=spec.activation, **options))
    if spec.dropout:
        layers.append(LAYERS.Dropout(spec.dropout, seed=spec.seed + index))
    return layers


def _recurrent(spec: Spec, index: int, last: bool) -> list[Any]:
    options: dict[str, Any] = {}
    gain = spec.recurrent_gain
    if gain is None and spec.activation == "relu":
        gain = 0.9  # Rectified recurrent units start near the identity.
    if gain is not None:
        options["recurrent_initializer"] = keras.initializers.Orthogonal(
            gain, seed=spec.seed + index
        )
    if spec.initializer == "zeros":
        options["recurrent_initializer"] = "zeros"
    if spec.bias is not None:
        options["bias_initializer"] = _bias(spec, spec.seed + index)
    if spec.l2:
        options["kernel_regularizer"] = keras.regularizers.L2(spec.l2)
    layers = [
        getattr(LAYERS, spec.cell)(
            spec.width,
            activation=spec.activation,
            return_sequences=not last,
            kernel_initializer=_kernel(spec, spec.seed * 100 + index),
            **options,
        )
    ]
    if spec.dropout:
        layers.append(LAYERS.Dropout(spec.dropout, seed=spec.seed + index))
    return layers


def _body(spec: Spec, shape: tuple[int, ...]) -> list[Any]:
    layers: list[Any] = []
    if spec.fault == "by_its_sum":
        layers.append(ByItsSum())
    if spec.fault == "half_precision":
        layers.append(HalfPrecision())
    if spec.family == "cnn":
        side = shape[0]
        for i in range(spec.depth):
            filters = spec.width * (1 + (i > 0))
            layers += _hidden(
                spec,
                lambda filters=filters, **options: LAYERS.Conv2D(
                    filters, 3, padding="same", **options
                ),
                i,
            )
            if side >= 6 and i < 2:
                layers.append(LAYERS.MaxPooling2D())
                side //= 2
        layers.append(
            LAYERS.Flatten()
            if spec.seed % 3 or spec.depth < 3
            else LAYERS.GlobalAveragePooling2D()
        )
    elif spec.family == "rnn":
        for i in range(spec.depth):
            layers += _recurrent(spec, i, i == spec.depth - 1)
    else:
        widths = [spec.width] * spec.depth
        if spec.tapers:
            widths = [max(spec.width >> i, 8) for i in range(spec.depth)]
            widths = [min(spec.width, width) for width in widths]
        if spec.family == "ae":
            code = max(2, min(spec.width, shape[-1]) // 2)
            widths = widths + [code] + widths
        for i, width in enumerate(widths):
            layers += _hidden(
                spec,
                lambda width=width, **options: LAYERS.Dense(width, **options),
                i,
            )
    return layers


def _adds(spec: Spec, layer: Any, before: Any, after: Any) -> bool:
    """Return whether what a layer takes is added to what it makes of it."""
    is_block = isinstance(layer, LAYERS.Dense) and not spec.apart
    hidden = layer.name != "answer" and before.shape == after.shape
    return spec.residual and is_block and hidden


def build(spec: Spec, data: Split) -> Any:
    """Return the compiled model of a spec."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(spec.seed)
    units, activation, loss, _ = _HEADS[spec.head]
    units = units or classes_of(spec, data)
    shape = data.x.shape[1:]
    layers = _body(spec, shape)
    options: dict[str, Any] = {}
    if spec.l2:
        options["kernel_regularizer"] = keras.regularizers.L2(spec.l2)
    if spec.constant is not None or spec.initializer == "zeros":
        # Random weights above would break the symmetry below.
        options["kernel_initializer"] = _kernel(spec, 0)
    if spec.apart and activation:
        layers += [LAYERS.Dense(units, name="answer", **options)]
        layers += [LAYERS.Activation(activation)]
    else:
        layers.append(
            LAYERS.Dense(units, activation=activation, name="answer", **options)
        )
    inputs = keras.Input(shape)
    if spec.sequential:
        model = keras.Sequential([inputs, *layers])
    else:
        x = inputs
        for layer in layers:
            before, x = x, layer(x)
            if _adds(spec, layer, before, x):
                x = LAYERS.Add()([before, x])
        model = keras.Model(inputs, x)
    rate: Any = spec.learning_rate
    if spec.decay:
        steps = spec.epochs * (len(data.x) // spec.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(rate, max(steps, 1), 0.05)
    name, clip = spec.optimizer, {"clipnorm": spec.clipnorm}
    if name == "momentum":
        name, clip = "SGD", clip | {"momentum": 0.9}
    optimizer = getattr(keras.optimizers, name)(rate, **clip)
    counts = spec.kind in ("binary", "classes")
    metrics = None
    if spec.metrics:
        metrics = ["accuracy"] if counts else ["mae"]
    model.compile(optimizer, loss(), metrics=metrics)
    return model


def score(spec: Spec, data: Split, y: np.ndarray, answer: np.ndarray) -> float:
    """Return accuracy, or the share of variance explained, at least 0."""
    if not np.isfinite(answer).all():
        return 0.0
    if spec.kind in ("binary", "classes"):
        if answer.shape[-1] > 1:
            found = answer.argmax(-1)
        elif spec.kind == "classes":
            found = np.round(answer[:, 0])
        else:
            logits = _HEADS[spec.head][1] in (None, "tanh")
            found = answer[:, 0] > (0.0 if logits else 0.5)
        return float(np.mean(found == y))
    wrong = np.square(answer.reshape(y.shape).astype("float64") - y).mean()
    return max(0.0, float(1 - wrong / np.square(y - y.mean(0)).mean()))
