"""Paragraphs that the docstrings of components share.

The docstring in a component's source describes what is special about the
component. `complete` adds the defaults of all arguments, and the arguments and
sections that the source leaves out. These come from `SHARED`, or from the
class that a function belongs to.

`keras_ext._registration` completes docstrings at import. `docs/docstrings.py`
completes them for the site, which is built without importing Keras; so this
module imports nothing of the package.
"""

import json
import re
from collections.abc import Mapping

_HEADS = (
    "Args",
    "Call arguments",
    "Input shape",
    "Output shape",
    "Returns",
    "Raises",
    "Example",
)
_HEAD = re.compile(rf"^({'|'.join(_HEADS)}):$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+): ", re.MULTILINE)
_WIDTH = 76

_VALUE_PER_SAMPLE = (
    "    One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.\n"
)

_LOSSES = """
Args:
    from_logits: Whether `y_pred` are logits.
    label_smoothing: Share of the uniform distribution in the labels, in
        [0, 1].
    axis: Axis of the classes.
    reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
        `"mean_with_sample_weight"`, `"none"` or `None`.
    name: Name of the loss.
    dtype: Dtype or dtype policy of the computation; `None` means
        `keras.config.floatx()`.
    base: Base of the logarithm, positive and not 1; 2 gives bits. `None`
        is the natural logarithm.

Call arguments:
    y_true: Labels, `(batch_size, ..., output_dim)`.
    y_pred: Predictions, `(batch_size, ..., output_dim)`.
    sample_weight: Weights, `(batch_size, ...)`, or `None`.

Raises:
    ValueError: If `reduction` is unknown.
"""

_ACTIVATIONS = """
Args:
    x: Input tensor of any shape.

Returns:
    A tensor of the shape and dtype of `x`.
"""

_INITIALIZERS = """
Args:
    seed: An integer, `None` or a `keras.random.SeedGenerator`. With an
        integer or `None` every call of one instance returns the same values;
        with a generator each call draws new values.
    input_axes: Axes of the weight that count as inputs; their sizes multiply
        to the fan-in `n_in`. By default `n_in` is the number of rows of a
        dense kernel, or input channels times receptive field of a
        convolution kernel. `keras.layers.EinsumDense` sets the axes.
    output_axes: Axes of the weight that count as outputs, for the fan-out
        `n_out`: by default the columns, or output channels times receptive
        field. The two arguments are used only if both are given.
    truncated: `True` truncates the distribution at two standard deviations
        and widens it, so that the variance after truncation is that of the
        formula. `False` draws from the plain normal distribution, as the
        paper does.

Call arguments:
    shape: Shape of the weight, such as `(..., n_in, n_out)` of a kernel.
    dtype: Dtype of the weight; `None` means `keras.config.floatx()`.

Raises:
    ValueError: If an argument is of another type.
"""

_LAYERS = """
Args:
    activation: Activation function, by name or as a callable; `None` is the
        identity. Names are those of Keras, and `"step"`.
    use_bias: Whether to add a bias.
    kernel_initializer: Initializer of the kernel.
    bias_initializer: Initializer of the bias.
    kernel_regularizer: Regularizer of the kernel.
    bias_regularizer: Regularizer of the bias.
    kernel_constraint: Constraint on the kernel.
    bias_constraint: Constraint on the bias.
    units: Number of units, a positive integer.
    axis: Axis or axes that keep separate statistics: `-1` for each feature or
        channel, `(1, 2, 3)` for each pixel and channel of images, `None` for
        statistics over all inputs.
    invert: `True` turns scaled values into the original ones.
    **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

Input shape:
    Any: `(batch_size, ...)`. Masks are passed on.

Output shape:
    The shape of the input.
"""

_OPTIMIZERS = """
Saved state is interchangeable with that of the Keras optimizer. Updates of
dense variables run in the backend's own kernels, if it has them. For
float16 and bfloat16 variables the arithmetic is float32; the result of the
Keras optimizer differs by rounding.

Args:
    learning_rate: A float, a
        `keras.optimizers.schedules.LearningRateSchedule` or a callable that
        takes no arguments.
    epsilon: Small constant that keeps the denominator from 0, >= 0.
    weight_decay: If set, every step first subtracts `weight_decay *
        learning_rate` times each weight from it.
    clipnorm: If set, the largest L2 norm of a variable's gradient.
    clipvalue: If set, the largest absolute value of a gradient's entry.
    global_clipnorm: If set, the largest L2 norm of all gradients together.
    use_ema: Whether to keep an exponential moving average of the weights.
    ema_momentum: Decay of that average.
    ema_overwrite_frequency: Number of steps after which the average
        overwrites the weights, or `None`.
    loss_scale_factor: If set, the loss is multiplied by this factor and the
        gradients are divided by it.
    gradient_accumulation_steps: If set, the number of steps, >= 2, whose mean
        gradient makes one update.
    name: Name of the optimizer and its variables.
    **kwargs: Only the former argument `decay`, which is ignored with a
        warning.
"""

_REGULARIZERS = """
Call arguments:
    x: A weight of any shape.

Output shape:
    A scalar, in the dtype of the weight.
"""

_METRICS = """
Args:
    name: Name of the metric.
    dtype: Dtype of the metric's sums; `None` means `keras.config.floatx()`.
"""

SHARED = {
    "activations": _ACTIVATIONS,
    "initializers": _INITIALIZERS,
    "layers": _LAYERS,
    "losses": _LOSSES,
    "metrics": _METRICS,
    "optimizers": _OPTIMIZERS,
    "regularizers": _REGULARIZERS,
}


def complete(
    docstring: str, shared: str, defaults: Mapping[str, str | None]
) -> str:
    """Return a docstring with all arguments, their defaults and all sections.

    Args:
        docstring: Docstring of a class or a function, without indentation.
        shared: One of `SHARED`, or what `of_class` returns.
        defaults: The default of each argument as Python text, `None` without
            a default, in the order of the signature.

    Raises:
        KeyError: If neither docstring describes an argument.
    """
    own, common = _sections(docstring), _sections(shared)
    entries = _entries(common, "Args") | _entries(own, "Args")
    own["Args"] = "".join(
        _entry(name, entries[name], default)
        for name, default in defaults.items()
    )
    calls = _entries(common, "Call arguments") | _entries(own, "Call arguments")
    if calls:
        own["Call arguments"] = "".join(map(_entry, calls, calls.values()))
    sections = common | own | {"": f"{own['']}\n\n{common['']}"}
    without = () if defaults else ("Args", "Raises")
    return "\n\n".join(
        f"{head}:\n{sections[head].rstrip()}" if head else sections[""].strip()
        for head in ("", *_HEADS)
        if head in sections and head not in without
    )


def of_class(path: str, docstring: str) -> str:
    """Return what a function's docstring shares with that of its class.

    Args:
        path: The class's public path.
        docstring: The class's completed docstring.
    """
    sections = _sections(docstring)
    return (
        "For the formula, references and differences from Keras see\n"
        f"`{path}`.\n\n"
        f"Args:\n{sections.get('Args', '')}"
        f"{sections.get('Call arguments', '')}\n"
        f"Returns:\n{_VALUE_PER_SAMPLE}"
    )


def _sections(docstring: str) -> dict[str, str]:
    """Return the text before the first section as "", then each section.

    The last section holds all text that follows.
    """
    begin, *parts = _HEAD.split(docstring)
    texts = (text.strip("\n") + "\n" for text in parts[1::2])
    return {"": begin.strip(), **dict(zip(parts[::2], texts, strict=True))}


def _entries(sections: Mapping[str, str], head: str) -> dict[str, str]:
    _, *parts = _ENTRY.split(sections.get(head, ""))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _entry(name: str, text: str, default: str | None = None) -> str:
    text = f"    {name}: {text.rstrip()}"
    if default is not None and "Defaults to" not in text:
        last = f"Defaults to `{default}`."
        room = _WIDTH - len(text.rpartition("\n")[2])
        text += f" {last}" if len(last) < room else f"\n        {last}"
    return text + "\n"


def literal(value: object) -> str:
    """Return a default as docstrings write it."""
    if isinstance(value, str):
        return json.dumps(value)
    return repr(value).replace("e-0", "e-")
