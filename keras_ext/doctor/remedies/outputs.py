"""Which activation and which loss belong together at the output.

Binary: sigmoid. One of several classes: softmax. Regression: linear.
"""

from keras_ext.doctor.finding import Remedy
from keras_ext.doctor.remedies.case import HE, Case
from keras_ext.doctor.run_history import BatchFacts, OutputFacts

_WHOLE = "sparse_categorical_crossentropy"
_ONE_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy")
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
_CROSSENTROPIES = (_WHOLE, *_ONE_HOT, *_BINARY)
_HINGES = ("hinge", "squared_hinge", "exponential")

# Task: description, activation and loss.
_TASKS = {
    "whole": (
        "one of {units} classes, as whole numbers",
        "softmax",
        "SparseCategoricalCrossentropy",
    ),
    "one_hot": (
        "one of {units} classes, one-hot",
        "softmax",
        "CategoricalCrossentropy",
    ),
    "binary": ("one of two classes", "sigmoid", "BinaryCrossentropy"),
    "labels": ("several labels at once", "sigmoid", "MultiLabelCrossentropy"),
    "regression": ("numbers (regression)", "linear", "MeanSquaredError"),
    "plus_minus_one": ("one of two classes, as -1 and 1", "tanh", "Hinge"),
}


def output_remedies(case: Case) -> tuple[Remedy, ...]:
    """Return the fitting pairs of activation and loss."""
    if case.is_hidden:
        return (
            Remedy(
                "Use ReLU in the hidden layer. Softmax is for outputs.",
                case.code(f'activation="relu", kernel_initializer={HE}'),
            ),
        )
    output = _at_fault(case)
    if output is None:
        return tuple(
            _pair(task, 10 if task in ("whole", "labels") else 1)
            for task in ("binary", "whole", "labels", "regression")
        )
    remedies = [_pair(*task) for task in _tasks(output, case.batch)]
    logits = _logits(output, case.batch)
    if logits:
        return (logits, *remedies)
    shifted = _counted_from_one(output, case.batch)
    return (shifted, *remedies) if shifted else tuple(remedies)


def _at_fault(case: Case) -> OutputFacts | None:
    outputs = case.facts.outputs if case.facts else ()
    if case.path is not None:
        name = case.path.split("/")[-1]
        named = [x for x in outputs if x.name in (case.path, name)]
        outputs = tuple(named) or outputs
    # Of several unnamed outputs it is not known which is meant.
    return outputs[0] if len(outputs) == 1 else None


def _pair(task: str, units: int) -> Remedy:
    what, activation, loss = _TASKS[task]
    given = "" if activation == "linear" else f', activation="{activation}"'
    return Remedy(
        f"For {what.format(units=units)}: {activation} units and {loss}.",
        f"output, loss = keras_ext.layers.Dense({units}{given}), "
        f"keras_ext.losses.{loss}()",
    )


def _logits(output: OutputFacts, batch: BatchFacts | None) -> Remedy | None:
    """Return another `from_logits`, if nothing else is wrong."""
    if output.loss not in _CROSSENTROPIES or _out_of_range(output, batch):
        return None
    name = output.loss.replace("_", " ").title().replace(" ", "")
    loss = f"loss = keras_ext.losses.{name}"
    if output.activation in ("softmax", "sigmoid"):
        if output.from_logits:
            return Remedy(
                f"The {output.activation} output is a probability: use a loss "
                "that takes probabilities.",
                f"{loss}(from_logits=False)",
            )
    elif output.activation in (None, "linear") and not output.from_logits:
        return Remedy(
            "The output is linear: use a loss that takes logits.",
            f"{loss}(from_logits=True)",
        )
    return None


def _counted_from_one(
    output: OutputFacts, batch: BatchFacts | None
) -> Remedy | None:
    """Return a shift to 0, if labels run from 1 to the number of units."""
    if batch is None or output.loss != _WHOLE or not batch.y_whole:
        return None
    if batch.y_low != 1 or batch.y_high != output.units:
        return None
    return Remedy(
        f"Count labels from 0 to {output.units - 1}. They seem to be counted "
        "from 1.",
        "y = y - 1",
    )


def _out_of_range(output: OutputFacts, batch: BatchFacts | None) -> bool:
    if batch is None or output.loss is None:
        return False
    highest = 1.0
    if output.loss == _WHOLE:
        highest = (output.units or batch.y_high + 1) - 1
    return batch.y_low < 0 or batch.y_high > highest


def _tasks(
    output: OutputFacts, batch: BatchFacts | None
) -> list[tuple[str, int]]:
    """Return the possible tasks, the most likely first."""
    units, loss = output.units or 1, output.loss
    if loss in _HINGES:
        return [("plus_minus_one", units), ("binary", units)]
    if batch is not None and not batch.y_whole:
        in_range = 0 <= batch.y_low and batch.y_high <= 1
        if not (loss in _CROSSENTROPIES and in_range):
            return [("regression", units)]
    if batch is not None and batch.y_high > 1:
        classes = max(units, int(batch.y_high) + 1)
        tasks = [("whole", classes), ("regression", units)]
        return tasks if batch.y_low >= 0 else tasks[1:]
    if batch is not None and batch.y_low < 0:
        return [("plus_minus_one", units), ("regression", units)]
    if units == 1:
        if loss in _CROSSENTROPIES or output.activation == "softmax":
            return [("binary", 1)]
        if output.activation == "sigmoid":
            return [("binary", 1), ("regression", 1)]
        return [("regression", 1)]
    if loss == _WHOLE:
        return [("whole", units)]
    if loss in _ONE_HOT:
        tasks = [("one_hot", units)]
        return [*tasks, ("labels", units)] if _is_sigmoid(output) else tasks
    if loss in _BINARY:
        tasks = [("labels", units), ("one_hot", units)]
        return tasks[::-1] if output.activation == "softmax" else tasks
    if output.activation == "softmax":
        return [("one_hot", units), ("regression", units)]
    if _is_sigmoid(output):
        return [("labels", units), ("regression", units)]
    return [("regression", units)]


def _is_sigmoid(output: OutputFacts) -> bool:
    return output.activation in ("sigmoid", "hard_sigmoid")
