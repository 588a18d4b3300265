"""What helps: the lectures' table of problems and remedies, as code.

Each row of `TABLE` is in the order in which the lectures teach it; an entry
returns `None` where it does not fit the case.
"""

from collections.abc import Callable

from keras_ext.doctor.finding import PROBLEMS, Remedy
from keras_ext.doctor.remedies import treatments
from keras_ext.doctor.remedies.case import Case
from keras_ext.doctor.remedies.outputs import output_remedies
from keras_ext.doctor.run_history import BatchFacts, Facts

Entry = Callable[[Case], Remedy | None]


def remedies_for(
    problem: str,
    facts: Facts | None = None,
    layer: str | None = None,
    batch: BatchFacts | None = None,
    rate_times: float | None = None,
) -> tuple[Remedy, ...]:
    """Return what helps against a problem.

    They stand in the order in which the lectures teach them, except that
    LSTM cells come first where a plain recurrent layer loses its gradient,
    and biases that began large before what they keep silent.
    What the model has already is left out as far as `facts` tell it; what
    is not known is taken as possible.

    Args:
        problem: One of `keras_ext.doctor.PROBLEMS`.
        facts: What is known of the model. Defaults to `None`.
        layer: Path of the layer at fault. Defaults to `None`: the whole
            model.
        batch: What a batch of data looks like. Defaults to `None`.
        rate_times: What the learning rate is to be multiplied by, if it is at
            fault. Defaults to `None`: 0.1, or 10 if it is too low.

    Returns:
        At least one remedy. Each `change` is a line of Python; `x` and `y`
        in it are the training data, `...` stands for what stays as it is.

    Raises:
        ValueError: `problem` is none that the doctor knows.

    Example:
        >>> from keras_ext.doctor.remedies import remedies_for
        >>> for advice, change in remedies_for("symmetric_units"):
        ...     print(change)
        keras_ext.layers.Dense(64, kernel_initializer=keras_ext.initializers.HeNormal())
    """  # noqa: E501
    if problem not in PROBLEMS:
        raise ValueError(
            f"`problem` must be one of {PROBLEMS}. "
            f"Received: problem={problem!r}"
        )
    case = Case(facts, layer, batch, rate_times)
    if problem == "output_loss_mismatch":
        return output_remedies(case)
    remedies = (entry(case) for entry in TABLE[problem])
    return tuple(remedy for remedy in remedies if remedy is not None)


TABLE: dict[str, tuple[Entry, ...]] = {
    "vanishing_gradient": (
        treatments.lstm_first,
        treatments.relu_family,
        treatments.initializer,
        treatments.batch_normalization,
        treatments.residual,
    ),
    "exploding_gradient": (
        treatments.clipping,
        treatments.l2,
        treatments.initializer,
        treatments.lower_rate,
        treatments.lstm,
    ),
    "dying_relu": (
        treatments.no_bias,
        treatments.leaky_relu,
        treatments.lower_rate,
        treatments.he,
    ),
    "saturated_activation": (
        treatments.scaled_input,
        treatments.batch_normalization,
        treatments.xavier,
        treatments.other_activation,
    ),
    "symmetric_units": (treatments.random,),
    "overfitting": (
        treatments.more_data,
        treatments.dropout,
        treatments.l2,
        treatments.early_stopping,
        treatments.smaller,
        treatments.batch_normalization,
        treatments.shuffled,
        treatments.cross_validation,
    ),
    "underfitting": (
        treatments.larger,
        treatments.longer,
        treatments.better_activation,
        treatments.less_regularization,
        treatments.more_features,
    ),
    "learning_rate_too_low": (
        treatments.higher_rate,
        treatments.falling_from_high,
        treatments.adaptive,
    ),
    "learning_rate_too_high": (
        treatments.lower_rate,
        treatments.falling,
        treatments.adaptive,
        treatments.larger_batches,
    ),
    "unscaled_input": (treatments.standardize, treatments.min_max),
    # Not a row of the lectures' table: its causes are those of explosion.
    "numerical_instability": (
        treatments.no_nan,
        treatments.lower_rate,
        treatments.clipping,
        treatments.logits,
        treatments.scaled_input,
        treatments.initializer,
    ),
}
