"""Storing runs in files, and truncating them."""

import dataclasses
import json
import pathlib
import types
import typing
from typing import Any

import numpy as np

from keras_ext.doctor.run_history import RunHistory

_SERIES = ("logs", "series", "epochs")


def truncate(history: RunHistory, epoch: int) -> RunHistory:
    """Return what was measured up to the end of an epoch.

    Args:
        history: Of a whole run.
        epoch: The last epoch to keep, counted from 0.
    """
    total = max(map(len, history.logs.values()), default=0)
    if epoch >= total - 1:
        return history
    end = (epoch + 1) * history.steps_per_epoch
    keep = np.asarray(history.steps) < end
    return dataclasses.replace(
        history,
        logs={k: v[: epoch + 1] for k, v in history.logs.items()},
        epochs={k: v[: epoch + 1] for k, v in history.epochs.items()},
        steps=history.steps[keep],
        series={k: v[keep] for k, v in history.series.items()},
        finished=False,
    )


def save(
    path: pathlib.Path, label: dict, history: RunHistory, more: Any
) -> None:
    """Write a run: `path`.npz with the series, `path`.json with the rest.

    Args:
        path: Without an ending.
        label: What JSON can hold.
        history: What the doctor measured.
        more: Further arrays by name.
    """
    arrays = {"steps": history.steps}
    for part in _SERIES:
        for key, values in getattr(history, part).items():
            arrays[f"{part}:{key}"] = values
    np.savez_compressed(path.with_suffix(".npz"), **arrays, **more)
    bare = dataclasses.replace(
        history, steps=np.zeros(0), **{part: {} for part in _SERIES}
    )
    text = json.dumps({"label": label, "history": _plain(bare)})
    path.with_suffix(".json").write_text(text, encoding="utf-8")


def load(path: pathlib.Path) -> tuple[dict, RunHistory, dict[str, np.ndarray]]:
    """Return what `save` was given, the path being that of the JSON file."""
    held = json.loads(path.read_text(encoding="utf-8"))
    history = _revived(RunHistory, held["history"])
    parts: dict[str, dict] = {part: {} for part in _SERIES}
    more = {}
    with np.load(path.with_suffix(".npz")) as arrays:
        for name in arrays.files:
            part, _, key = name.partition(":")
            if part in parts:
                parts[part][key] = arrays[name]
            elif name != "steps":
                more[name] = arrays[name]
        steps = arrays["steps"]
    history = dataclasses.replace(history, steps=steps, **parts)
    return held["label"], history, more


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            f.name: _plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _revived(kind: Any, value: Any) -> Any:
    """Return what a field of this type held; unknown fields are left out."""
    if value is None:
        return None
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = {f.name for f in dataclasses.fields(kind)}
        return kind(
            **{k: _revived(hints[k], v) for k, v in value.items() if k in names}
        )
    if kind is np.ndarray:
        return np.array(value)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_revived(inner[0], v) for v in value)
    if origin in (types.UnionType, typing.Union):
        (only,) = [k for k in inner if k is not type(None)][:1]
        return _revived(only, value)
    return value
