"""Single remedies: the advice, and the line of code that fits the case.

Each returns `None` where it does not fit.
"""

import math

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

# Kinds of which batches of images are likely.
_OF_IMAGES = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
# Mean size of initial biases that usual activations do not make up for.
LARGE_BIAS = 1.0
# Root mean square of inputs that need no scaling.
USUAL_SIZE = (0.1, 3.0)
# Below it, skipping a layer shortens nothing.
_DEEP = 4


def lstm_first(case: Case) -> Remedy | None:
    """Return LSTM cells, if the layers are recurrent for certain."""
    return lstm(case) if case.is_recurrent else None


def lstm(case: Case) -> Remedy | None:
    """Return LSTM cells in place of plain ones."""
    if not case.may_have("SimpleRNN"):
        return None
    units = case.layer.units if case.layer and case.layer.units else 64
    return Remedy(
        "In a recurrent network: LSTM cells, whose memory hands gradients "
        "on unchanged.",
        f"keras.layers.LSTM({units})",
    )


def relu_family(case: Case) -> Remedy | None:
    """Return ReLU in place of an activation that saturates."""
    known = case.activations
    if case.is_recurrent or (known and not known & set(SATURATING)):
        return None
    return Remedy(
        "An activation of the ReLU family: its slope is 1 where sigmoid's "
        "is at most 0.25.",
        case.code(f'activation="relu", kernel_initializer={HE}'),
    )


def initializer(case: Case) -> Remedy | None:
    """Return the initializer that fits the activation."""
    code = case.initializer()
    name = "Xavier's" if code == XAVIER else "He's"
    if code not in (HE, XAVIER):
        name = "LeCun's"
    return Remedy(
        f"Initial weights whose scale fits the layer's size: {name}.",
        case.code(f"kernel_initializer={code}"),
    )


def he(case: Case) -> Remedy | None:
    """Return He's initializer."""
    return Remedy(
        "He's initial weights, made for ReLU.",
        case.code(f"kernel_initializer={HE}"),
    )


def xavier(case: Case) -> Remedy | None:
    """Return Xavier's initializer."""
    return Remedy(
        "Xavier's initial weights, made for sigmoid and tanh.",
        case.code(f"kernel_initializer={XAVIER}"),
    )


def random(case: Case) -> Remedy | None:
    """Return random initial weights."""
    return Remedy(
        "Random initial weights: units that start alike get the same "
        "gradient and stay alike.",
        case.code(f"kernel_initializer={case.initializer()}"),
    )


def batch_normalization(case: Case) -> Remedy | None:
    """Return a normalization between the layers."""
    if case.has("BatchNormalization"):
        return None
    if case.has(*RECURRENT):
        return Remedy(
            "Layer normalization between the layers (batch normalization "
            "does not suit sequences).",
            "keras.layers.LayerNormalization()",
        )
    return Remedy(
        "Batch normalization before the activation.",
        "keras_ext.layers.BatchNormalization()",
    )


def residual(case: Case) -> Remedy | None:
    """Return residual connections, if the model is deep."""
    if case.depth is not None and case.depth < _DEEP:
        return None
    if case.is_recurrent:
        inner = case.code("return_sequences=True")
    elif "..." in case.code():
        inner = case.code('padding="same", activation="relu"')
    else:
        inner = case.code('activation="relu"')
    return Remedy(
        "Residual connections: a way for gradients around the layers.",
        f"keras_ext.layers.Residual({inner})",
    )


def clipping(case: Case) -> Remedy | None:
    """Return clipping, unless the optimizer clips."""
    if case.facts and case.facts.clips:
        return None
    return Remedy(
        "Clip gradients by their global norm.",
        case.optimizer(arguments="global_clipnorm=1.0"),
    )


def l2(case: Case) -> Remedy | None:
    """Return an L2 penalty."""
    return Remedy(
        "An L2 penalty, which keeps weights small.",
        case.code("kernel_regularizer=keras_ext.regularizers.L2(0.0001)"),
    )


def lower_rate(case: Case) -> Remedy | None:
    """Return a tenth of the learning rate, or what was said."""
    times = case.rate_times or 0.1
    return Remedy("A lower learning rate.", case.optimizer(times))


def higher_rate(case: Case) -> Remedy | None:
    """Return ten times the learning rate, or what was said."""
    times = case.rate_times or 10
    return Remedy("A higher learning rate.", case.optimizer(times))


def falling_from_high(case: Case) -> Remedy | None:
    """Return a schedule that begins above the rate."""
    times = case.rate_times or 10
    return _schedule(case, times, "A schedule that begins high and falls.")


def falling(case: Case) -> Remedy | None:
    """Return a schedule that begins below the rate."""
    times = case.rate_times or 0.1
    return _schedule(case, times, "A schedule that lets the rate fall.")


def _schedule(case: Case, times: float, advice: str) -> Remedy:
    high = f"{case.known_rate * times:.3g}"
    rate = f"keras.optimizers.schedules.CosineDecay({high}, 1000)"
    plain = Case(case.facts and Facts(optimizer=case.facts.optimizer))
    return Remedy(advice, plain.optimizer(arguments=f"learning_rate={rate}"))


def adaptive(case: Case) -> Remedy | None:
    """Return Adam, unless the optimizer is of its kind."""
    if case.adapts:
        return None
    return Remedy(
        "An adaptive optimizer, which has a step size for each weight.",
        case.optimizer(name="Adam"),
    )


def larger_batches(case: Case) -> Remedy | None:
    """Return larger batches, if they are small."""
    if case.batch is None or not 0 < case.batch.size < 32:
        return None
    return Remedy(
        "Batches of 32 to 256: gradients of smaller ones are noisy.",
        "model.fit(x, y, batch_size=32)",
    )


def no_bias(case: Case) -> Remedy | None:
    """Return biases of 0, if they began large."""
    # Of an unknown place it may be any layer but the last, whose biases may
    # well begin at the targets' mean.
    layers = case.layers or (case.facts.layers[:-1] if case.facts else ())
    worst = max(layers, key=lambda x: x.bias_size, default=None)
    if worst is None or worst.bias_size < LARGE_BIAS:
        return None
    where = Case(case.facts, worst.path)
    return Remedy(
        f"Initial biases of 0: those of `{worst.path}` are "
        f"{worst.bias_size:.2g} in size.",
        where.code('bias_initializer="zeros"'),
    )


def leaky_relu(case: Case) -> Remedy | None:
    """Return leaky ReLU."""
    if case.is_activation_layer:
        change = "keras_ext.layers.LeakyReLU(0.1)"
    elif case.is_in_a_call:
        change = "x = keras_ext.activations.leaky_relu(x)"
    else:
        change = case.code("activation=keras_ext.activations.leaky_relu")
    return Remedy(
        "Leaky ReLU or ELU: a slope below 0 lets dead units come back.",
        change,
    )


def scaled_input(case: Case) -> Remedy | None:
    """Return a scaled input, unless it is scaled, or of usual size."""
    if case.facts and case.facts.normalizes_input or case.has("Embedding"):
        return None
    if case.batch is not None and _is_of_usual_size(case.batch):
        return None
    return standardize(case)


def _is_of_usual_size(batch: BatchFacts) -> bool:
    low, high = USUAL_SIZE
    scales = batch.feature_scales
    if not low < math.hypot(batch.x_mean, batch.x_std) < high:
        return False
    return not len(scales) or bool(np.max(scales) < high)


def standardize(case: Case) -> Remedy | None:
    """Return standardized inputs."""
    return Remedy(
        "Standardize the inputs, each feature to mean 0 and deviation 1, in "
        "the model's first layer.",
        "scale = keras_ext.layers.Standardization(); scale.adapt(x)",
    )


def min_max(case: Case) -> Remedy | None:
    """Return inputs that are scaled to a range."""
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


def other_activation(case: Case) -> Remedy | None:
    """Return ReLU, except in recurrent layers."""
    if case.is_recurrent:
        return None
    return Remedy(
        "Another activation: ReLU does not saturate above 0.",
        case.code(f'activation="relu", kernel_initializer={HE}'),
    )


def more_data(case: Case) -> Remedy | None:
    """Return augmentation that fits the inputs."""
    if case.has(*_OF_IMAGES):
        return Remedy(
            "More data, or augmentation: other versions of the same images, "
            "in the model's first layer.",
            "keras.layers.RandomTranslation(0.1, 0.1)",
        )
    if case.has("Embedding"):
        return Remedy(
            "More data, or augmentation: noise on the vectors of the tokens, "
            "after the embedding.",
            "keras.layers.GaussianNoise(0.1)",
        )
    return Remedy(
        "More data, or augmentation: noise on the inputs, in the model's "
        "first layer.",
        "keras.layers.GaussianNoise(0.1)",
    )


def dropout(case: Case) -> Remedy | None:
    """Return dropout."""
    if case.has("Dropout"):
        return Remedy("More dropout than now.", "keras_ext.layers.Dropout(0.5)")
    return Remedy(
        "Dropout after the hidden layers.", "keras_ext.layers.Dropout(0.3)"
    )


def early_stopping(case: Case) -> Remedy | None:
    """Return early stopping."""
    return Remedy(
        "Early stopping, with the weights of the best epoch.",
        "keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)",
    )


def smaller(case: Case) -> Remedy | None:
    """Return fewer units."""
    return Remedy(
        "A smaller model: fewer units or layers.",
        _resized(case, 0.5),
    )


def larger(case: Case) -> Remedy | None:
    """Return more units."""
    return Remedy(
        "A larger model: more units or layers.",
        _resized(case, 2),
    )


def _resized(case: Case, times: float) -> str:
    """Return the code of a hidden layer, the widest, with other units."""
    hidden = [x for x in case.layers[:-1] if x.fan_in and x.units]
    if case.path is None and hidden:
        widest = max(hidden, key=lambda x: x.units or 0)
        case = Case(case.facts, widest.path)
    if case.is_recurrent:
        return case.code(times=times)
    known = case.layer.activation if case.layer else "relu"
    argument = f'activation="{known}"' if known else ""
    return case.code(argument, times=times)


def shuffled(case: Case) -> Remedy | None:
    """Return an order by chance: `validation_split` takes the last rows."""
    return Remedy(
        "If the rows are in an order, by class or by time: shuffle them before "
        "`validation_split`, which takes the last ones.",
        "order = np.random.default_rng(0).permutation(len(x)); "
        "x, y = x[order], y[order]",
    )


def cross_validation(case: Case) -> Remedy | None:
    """Return cross-validation."""
    return Remedy(
        "Cross-validation, to see whether it is the choice of the data.",
        "folds = sklearn.model_selection.KFold(5, shuffle=True).split(x)",
    )


def longer(case: Case) -> Remedy | None:
    """Return more epochs."""
    return Remedy("Train for longer.", "model.fit(x, y, epochs=100)")


def better_activation(case: Case) -> Remedy | None:
    """Return ReLU for hidden layers that saturate."""
    if case.facts is None or not case.facts.layers:
        return relu_family(case)
    hidden = case.facts.layers[:-1]
    weak = [x for x in hidden if x.fan_in and x.activation in SATURATING]
    if not weak or weak[0].kind.startswith(RECURRENT):
        return None
    return relu_family(Case(case.facts, weak[0].path))


def less_regularization(case: Case) -> Remedy | None:
    """Return less regularization."""
    if case.has("Dropout"):
        return Remedy(
            "Less regularization: lower dropout rates, smaller penalties.",
            "keras_ext.layers.Dropout(0.1)",
        )
    return Remedy(
        "Less regularization: smaller penalties, if there are any.",
        case.code("kernel_regularizer=None"),
    )


def more_features(case: Case) -> Remedy | None:
    """Return more features."""
    return Remedy(
        "More features.", "x = np.concatenate([x, np.square(x)], axis=-1)"
    )


def no_nan(case: Case) -> Remedy | None:
    """Return clean data, if they are not."""
    batch = case.batch
    if batch is None or not (batch.x_nonfinite or batch.y_nonfinite):
        return None
    name = "x" if batch.x_nonfinite else "y"
    return Remedy(
        "Take NaN and infinite values out of the data.",
        f"{name} = np.nan_to_num({name}, posinf=0, neginf=0)",
    )


def logits(case: Case) -> Remedy | None:
    """Return a loss that takes logits, if it takes probabilities."""
    for output in case.facts.outputs if case.facts else ():
        units, of_classes = output.units or 1, output.activation == "softmax"
        if output.from_logits or not (
            of_classes or output.activation == "sigmoid"
        ):
            continue
        if "crossentropy" not in (output.loss or ""):
            continue
        loss = (
            "BinaryCrossentropy"
            if not of_classes
            else "SparseCategoricalCrossentropy"
            if output.loss == "sparse_categorical_crossentropy"
            else "CategoricalCrossentropy"
        )
        return Remedy(
            "A linear output, and a loss that takes logits: no logarithm of 0.",
            f"output, loss = keras_ext.layers.Dense({units}), "
            f"keras_ext.losses.{loss}(from_logits=True)",
        )
    return None
