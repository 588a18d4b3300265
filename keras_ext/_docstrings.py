"""Paragraphs that the docstrings of components share.

A component's docstring describes what is special about the component.
`complete` adds the arguments and sections that it leaves out, from `SHARED`
or from the class that a function belongs to, and the defaults of all
arguments. `keras_ext._registration` completes docstrings at import,
`docs/docstrings.py` completes them for the site, which is built
without importing Keras. So this module imports nothing of the package.
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

SHARED = {"losses": _LOSSES}


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
    if defaults:
        own["Args"] = "".join(
            _entry(name, entries[name], default)
            for name, default in defaults.items()
        )
    calls = _entries(common, "Call arguments") | _entries(own, "Call arguments")
    if calls:
        own["Call arguments"] = "".join(map(_entry, calls, calls.values()))
    sections = common | own | {"": f"{own['']}\n\n{common['']}"}
    return "\n\n".join(
        f"{head}:\n{sections[head].rstrip()}" if head else sections[""].strip()
        for head in ("", *_HEADS)
        if head in sections
    )


def of_class(path: str, docstring: str) -> str:
    """Return what the docstring of a function takes from that of its class.

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
    """Split a docstring at its section heads; the key "" is the beginning.

    The last section holds all that follows.
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
    return json.dumps(value) if isinstance(value, str) else repr(value)
