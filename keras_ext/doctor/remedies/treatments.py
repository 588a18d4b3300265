"""The remedies of each problem: the advice, and a line of code that fits.

An entry is a remedy, or a function that returns one; the function returns
`None` where the remedy does not fit the case.
"""

import math
from collections.abc import Callable

import numpy as np

from keras_ext.doctor.finding import Remedy
from keras_ext.doctor.remedies.case import (
    HE,
    RECURRENT,
    SATURATING,
    XAVIER,
    Case,
)
from keras_ext.doctor.run_history import BatchFacts, Facts

_OF_IMAGES = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
# Usual activations do not compensate a mean |bias| of this size.
_LARGE_BIAS = 1.0
# Root mean square of inputs that need no scaling.
_USUAL_SCALE = (0.1, 3.0)
# A residual connection does not help models with fewer layers.
_DEEP = 4
_RELU_ARGUMENTS = f'activation="relu", kernel_initializer={HE}'


def _lstm_first(case: Case) -> Remedy | None:
    return _lstm(case) if case.is_recurrent else None


def _lstm(case: Case) -> Remedy | None:
    if not case.may_have("SimpleRNN"):
        return None
    units = case.layer.units if case.layer and case.layer.units else 64
    return Remedy(
        "In a recurrent network, use LSTM cells. Their memory passes "
        "gradients on unchanged.",
        f"keras.layers.LSTM({units})",
    )


def _relu_family(case: Case) -> Remedy | None:
    known = case.activations
    if case.is_recurrent or (known and not known & set(SATURATING)):
        return None
    return Remedy(
        "Use an activation of the ReLU family: its slope is 1, and sigmoid's "
        "is at most 0.25.",
        case.code(_RELU_ARGUMENTS),
    )


def _initializer(case: Case) -> Remedy:
    code = case.initializer()
    name = {HE: "He's", XAVIER: "Xavier's"}.get(code, "LeCun's")
    return Remedy(
        f"Use initial weights whose scale fits the layer's size: {name}.",
        case.code(f"kernel_initializer={code}"),
    )


def _he(case: Case) -> Remedy:
    return Remedy(
        "Use He's initial weights, which are made for ReLU.",
        case.code(f"kernel_initializer={HE}"),
    )


def _xavier(case: Case) -> Remedy:
    return Remedy(
        "Use Xavier's initial weights, which are made for sigmoid and tanh.",
        case.code(f"kernel_initializer={XAVIER}"),
    )


def _random(case: Case) -> Remedy:
    return Remedy(
        "Use random initial weights. Equal units get equal gradients and stay "
        "equal.",
        case.code(f"kernel_initializer={case.initializer()}"),
    )


def _batch_normalization(case: Case) -> Remedy | None:
    if case.has("BatchNormalization"):
        return None
    if case.has(*RECURRENT):
        return Remedy(
            "Use layer normalization between the layers. Batch normalization "
            "does not suit sequences.",
            "keras.layers.LayerNormalization()",
        )
    return Remedy(
        "Use batch normalization before the activation.",
        "keras_ext.layers.BatchNormalization()",
    )


def _residual(case: Case) -> Remedy | None:
    depth = sum(x.fan_in is not None for x in case.all_layers)
    if case.all_layers and depth < _DEEP:
        return None
    if case.is_recurrent:
        inner = case.code("return_sequences=True")
    elif "..." in case.code():
        inner = case.code('padding="same", activation="relu"')
    else:
        inner = case.code('activation="relu"')
    return Remedy(
        "Use residual connections: gradients pass around the layers.",
        f"keras_ext.layers.Residual({inner})",
    )


def _clipping(case: Case) -> Remedy | None:
    if case.facts and case.facts.clips:
        return None
    return Remedy(
        "Clip gradients by their global norm.",
        case.optimizer(arguments="global_clipnorm=1.0"),
    )


def _l2(case: Case) -> Remedy:
    return Remedy(
        "Use an L2 penalty, which keeps weights small.",
        case.code("kernel_regularizer=keras_ext.regularizers.L2(0.0001)"),
    )


def _lower_rate(case: Case) -> Remedy:
    times = case.rate_times or 0.1
    return Remedy("Use a lower learning rate.", case.optimizer(times))


def _higher_rate(case: Case) -> Remedy:
    times = case.rate_times or 10
    return Remedy("Use a higher learning rate.", case.optimizer(times))


def _decay_from_high(case: Case) -> Remedy:
    advice = "Use a learning rate schedule that starts high and decays."
    return _schedule(case, case.rate_times or 10, advice)


def _decay(case: Case) -> Remedy:
    advice = "Use a learning rate schedule that decays."
    return _schedule(case, case.rate_times or 0.1, advice)


def _schedule(case: Case, times: float, advice: str) -> Remedy:
    rate = f"{case.known_rate * times:.3g}"
    schedule = f"keras.optimizers.schedules.CosineDecay({rate}, 1000)"
    plain = Case(case.facts and Facts(optimizer=case.facts.optimizer))
    return Remedy(
        advice, plain.optimizer(arguments=f"learning_rate={schedule}")
    )


def _adaptive(case: Case) -> Remedy | None:
    if case.adapts:
        return None
    return Remedy(
        "Use an adaptive optimizer, which has a step size for each weight.",
        case.optimizer(name="Adam"),
    )


def _larger_batches(case: Case) -> Remedy | None:
    if case.batch is None or not 0 < case.batch.size < 32:
        return None
    return Remedy(
        "Use batches of 32 to 256. Gradients of smaller ones are noisy.",
        "model.fit(x, y, batch_size=32)",
    )


def _no_bias(case: Case) -> Remedy | None:
    # If the place is unknown, it may be any layer but the last, whose biases
    # may well start at the targets' mean.
    layers = case.layers or case.all_layers[:-1]
    worst = max(layers, key=lambda x: x.bias_size, default=None)
    if worst is None or worst.bias_size < _LARGE_BIAS:
        return None
    return Remedy(
        f"Use initial biases of 0: those of `{worst.path}` are "
        f"{worst.bias_size:.2g} in size.",
        Case(case.facts, worst.path).code('bias_initializer="zeros"'),
    )


def _leaky_relu(case: Case) -> Remedy:
    if case.layer and case.layer.kind in ("Activation", "ReLU"):
        change = "keras_ext.layers.LeakyReLU(0.1)"
    elif case.is_in_a_call:
        change = "x = keras_ext.activations.leaky_relu(x)"
    else:
        change = case.code("activation=keras_ext.activations.leaky_relu")
    return Remedy(
        "Use leaky ReLU or ELU: with a slope below 0, dead units can recover.",
        change,
    )


_STANDARDIZE = Remedy(
    "Standardize the inputs in the model's first layer: each feature gets mean "
    "0 and standard deviation 1.",
    "scale = keras_ext.layers.Standardization(); scale.adapt(x)",
)


_STANDARDIZE_TARGETS = Remedy(
    "Standardize the targets. Afterwards, scale the predictions back.",
    "mean, std = np.mean(y), np.std(y); y = (y - mean) / std",
)
_SCALED_OUTPUTS = Remedy(
    "Or let the model's last layer scale its outputs.",
    "keras.layers.Rescaling(scale=np.std(y), offset=np.mean(y))",
)


def _class_weights(case: Case) -> Remedy:
    shares = np.ones(0) if case.batch is None else case.batch.class_shares
    there = shares[shares > 0]
    if len(shares) < 2 or not len(there):
        shares = there = np.array([0.9, 0.1])
    weights = {
        i: round(float(1 / (len(there) * share)), 2)
        for i, share in enumerate(shares)
        if share > 0
    }
    return Remedy(
        "Give rare classes larger weights in the loss.",
        f"model.fit(x, y, epochs=100, class_weight={weights})",
    )


def _focal(case: Case) -> Remedy:
    outputs = case.facts.outputs if case.facts else ()
    binary = len(outputs) == 1 and outputs[0].units == 1
    kind = "Binary" if binary else "Categorical"
    return Remedy(
        "Or use the focal loss, in which samples of the frequent class count "
        "little.",
        f"keras_ext.losses.{kind}FocalCrossentropy()",
    )


_THAW = Remedy(
    "Train the frozen layers, or load trained weights before they are frozen. "
    "Compile the model afterwards.",
    "model.trainable = True",
)


def _scaled_input(case: Case) -> Remedy | None:
    if case.facts and case.facts.normalizes_input or case.has("Embedding"):
        return None
    if case.batch is not None and _has_usual_scale(case.batch):
        return None
    return _STANDARDIZE


def _has_usual_scale(batch: BatchFacts) -> bool:
    low, high = _USUAL_SCALE
    scales = batch.feature_scales
    if not low < math.hypot(batch.x_mean, batch.x_std) < high:
        return False
    return not len(scales) or bool(np.max(scales) < high)


def _min_max(case: Case) -> Remedy:
    batch = case.batch
    if batch is not None and batch.x_low >= 0 and 128 < batch.x_high <= 255:
        return Remedy(
            "Or divide by 255, if the inputs are images of bytes.",
            "keras_ext.layers.MinMaxScaling(minimum=0, maximum=255)",
        )
    return Remedy(
        "Or scale each feature to [0, 1].",
        "scale = keras_ext.layers.MinMaxScaling(); scale.adapt(x)",
    )


def _other_activation(case: Case) -> Remedy | None:
    if case.is_recurrent:
        return None
    return Remedy(
        "Use another activation. ReLU does not saturate above 0.",
        case.code(_RELU_ARGUMENTS),
    )


def _more_data(case: Case) -> Remedy:
    noise = "keras.layers.GaussianNoise(0.1)"
    if case.has(*_OF_IMAGES):
        return Remedy(
            "Use more data, or augmentation: changed versions of the same "
            "images, in the model's first layer.",
            "keras.layers.RandomTranslation(0.1, 0.1)",
        )
    if case.has("Embedding"):
        return Remedy(
            "Use more data, or augmentation: noise on the vectors of the "
            "tokens, after the embedding.",
            noise,
        )
    return Remedy(
        "Use more data, or augmentation: noise on the inputs, in the model's "
        "first layer.",
        noise,
    )


def _dropout(case: Case) -> Remedy:
    if case.has("Dropout"):
        return Remedy("Use more dropout.", "keras_ext.layers.Dropout(0.5)")
    return Remedy(
        "Use dropout after the hidden layers.", "keras_ext.layers.Dropout(0.3)"
    )


def _smaller(case: Case) -> Remedy:
    return Remedy(
        "Use a smaller model: fewer units or layers.", _resized(case, 0.5)
    )


def _larger(case: Case) -> Remedy:
    return Remedy(
        "Use a larger model: more units or layers.", _resized(case, 2)
    )


def _resized(case: Case, times: float) -> str:
    """Return the code of the widest hidden layer, with other units."""
    hidden = [x for x in case.layers[:-1] if x.fan_in and x.units]
    if case.path is None and hidden:
        widest = max(hidden, key=lambda x: x.units or 0)
        case = Case(case.facts, widest.path)
    if case.is_recurrent:
        return case.code(times=times)
    known = case.layer.activation if case.layer else "relu"
    argument = f'activation="{known}"' if known else ""
    return case.code(argument, times=times)


def _better_activation(case: Case) -> Remedy | None:
    if not case.all_layers:
        return _relu_family(case)
    hidden = case.all_layers[:-1]
    weak = [x for x in hidden if x.fan_in and x.activation in SATURATING]
    if not weak or weak[0].kind.startswith(RECURRENT):
        return None
    return _relu_family(Case(case.facts, weak[0].path))


def _less_regularization(case: Case) -> Remedy:
    if case.has("Dropout"):
        return Remedy(
            "Use less regularization: lower dropout rates, smaller penalties.",
            "keras_ext.layers.Dropout(0.1)",
        )
    return Remedy(
        "Use less regularization: smaller penalties, if there are any.",
        case.code("kernel_regularizer=None"),
    )


def _no_nan(case: Case) -> Remedy | None:
    batch = case.batch
    if batch is None or not (batch.x_nonfinite or batch.y_nonfinite):
        return None
    name = "x" if batch.x_nonfinite else "y"
    return Remedy(
        "Remove NaN and infinite values from the data.",
        f"{name} = np.nan_to_num({name}, posinf=0, neginf=0)",
    )


def _logits(case: Case) -> Remedy | None:
    for output in case.facts.outputs if case.facts else ():
        units, of_classes = output.units or 1, output.activation == "softmax"
        if output.from_logits or not (
            of_classes or output.activation == "sigmoid"
        ):
            continue
        if "crossentropy" not in (output.loss or ""):
            continue
        loss = "BinaryCrossentropy"
        if of_classes:
            sparse = output.loss == "sparse_categorical_crossentropy"
            loss = f"{'Sparse' if sparse else ''}CategoricalCrossentropy"
        return Remedy(
            "Use a linear output and a loss that takes logits. It takes no "
            "logarithm of 0.",
            f"output, loss = keras_ext.layers.Dense({units}), "
            f"keras_ext.losses.{loss}(from_logits=True)",
        )
    return None


_EARLY_STOPPING = Remedy(
    "Use early stopping, and restore the weights of the best epoch.",
    "keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)",
)
_SHUFFLE = Remedy(
    "If the rows are sorted, by class or by time, shuffle them before "
    "`validation_split`, which takes the last ones.",
    "order = np.random.default_rng(0).permutation(len(x)); "
    "x, y = x[order], y[order]",
)
_CROSS_VALIDATION = Remedy(
    "Use cross-validation, to see whether the split of the data is the cause.",
    "folds = sklearn.model_selection.KFold(5, shuffle=True).split(x)",
)
_LONGER = Remedy("Train for longer.", "model.fit(x, y, epochs=100)")
_MORE_FEATURES = Remedy(
    "Use more features.", "x = np.concatenate([x, np.square(x)], axis=-1)"
)

# The order is that of the lectures, except for LSTM cells and large biases,
# which come first where they fit.
TABLE: dict[str, tuple[Remedy | Callable[[Case], Remedy | None], ...]] = {
    "vanishing_gradient": (
        _lstm_first,
        _relu_family,
        _initializer,
        _batch_normalization,
        _residual,
    ),
    "exploding_gradient": (_clipping, _l2, _initializer, _lower_rate, _lstm),
    "dying_relu": (_no_bias, _leaky_relu, _lower_rate, _he),
    "saturated_activation": (
        _scaled_input,
        _batch_normalization,
        _xavier,
        _other_activation,
    ),
    "symmetric_units": (_random,),
    "overfitting": (
        _more_data,
        _dropout,
        _l2,
        _EARLY_STOPPING,
        _smaller,
        _batch_normalization,
        _SHUFFLE,
        _CROSS_VALIDATION,
    ),
    "underfitting": (
        _larger,
        _LONGER,
        _better_activation,
        _less_regularization,
        _MORE_FEATURES,
    ),
    "learning_rate_too_low": (_higher_rate, _decay_from_high, _adaptive),
    "too_few_epochs": (_LONGER, _higher_rate),
    "learning_rate_too_high": (_lower_rate, _decay, _adaptive, _larger_batches),
    "unscaled_input": (_STANDARDIZE, _min_max),
    "class_imbalance": (_class_weights, _focal),
    "frozen_weights": (_THAW,),
    "unscaled_target": (_STANDARDIZE_TARGETS, _SCALED_OUTPUTS),
    # Its causes are those of an exploding gradient.
    "numerical_instability": (
        _no_nan,
        _lower_rate,
        _clipping,
        _logits,
        _scaled_input,
        _initializer,
    ),
}
