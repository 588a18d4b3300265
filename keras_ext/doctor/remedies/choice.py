"""Choosing the remedies of a problem."""

from keras_ext.doctor.finding import PROBLEMS, Remedy
from keras_ext.doctor.remedies.case import Case
from keras_ext.doctor.remedies.outputs import output_remedies
from keras_ext.doctor.remedies.treatments import TABLE
from keras_ext.doctor.run_history import BatchFacts, Facts


def remedies_for(
    problem: str,
    facts: Facts | None = None,
    layer: str | None = None,
    batch: BatchFacts | None = None,
    rate_times: float | None = None,
) -> tuple[Remedy, ...]:
    """Return what helps against a problem.

    The order is that of the lectures. LSTM cells come first where a plain
    recurrent layer loses its gradient. Remedies that the model already has
    are left out; what is not known counts as possible.

    Args:
        problem: One of `keras_ext.doctor.PROBLEMS`.
        facts: What is known of the model. Defaults to `None`.
        layer: Path of the layer at fault. Defaults to `None`: the whole
            model.
        batch: What a batch of data looks like. Defaults to `None`.
        rate_times: Factor for the learning rate, if it is at fault. Defaults
            to `None`: 0.1, or 10 if it is too low.

    Returns:
        At least one remedy. Each `change` is a line of Python, where `x` and
        `y` are the training data and `...` stands for what does not change.

    Raises:
        ValueError: If the doctor does not know `problem`.

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
    remedies = (x if isinstance(x, Remedy) else x(case) for x in TABLE[problem])
    return tuple(remedy for remedy in remedies if remedy is not None)
