"""The configuration of a training, as parameters."""

import math
from collections.abc import Iterator, Mapping
from typing import Any


def training_params(
    model: Any, fit_params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the configuration of a compiled model and its `fit`.

    The values are plain: `optimizer`, `optimizer.<argument>`, `learning_rate`
    (a schedule's name), `loss`, `epochs`, `batches_per_epoch`,
    `parameters.trainable`, `parameters.frozen`, `model` (its name) and
    `dtype_policy`. Unknown values are left out.
    """
    fit_params = fit_params or {}
    params: dict[str, Any] = {
        "model": model.name,
        "epochs": fit_params.get("epochs"),
        "batches_per_epoch": fit_params.get("steps"),
        "loss": _name(getattr(model, "loss", None)),
        "dtype_policy": getattr(model.dtype_policy, "name", None),
    }
    if model.built:
        params["parameters.trainable"] = _size(model.trainable_weights)
        params["parameters.frozen"] = _size(model.non_trainable_weights)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        config = optimizer.get_config()
        params["optimizer"] = type(optimizer).__name__
        params.update(_flat(config, "optimizer"))
        learning_rate = config.get("learning_rate")
        if isinstance(learning_rate, Mapping):
            learning_rate = learning_rate.get("class_name")
        params["learning_rate"] = learning_rate
    return {k: _readable(v) for k, v in params.items() if v is not None}


def _readable(value: Any) -> Any:
    # Keras keeps the learning rate in float32, where 0.01 is no round number.
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _flat(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the arguments, without names and Keras's paths of classes."""
    for key, value in config.items():
        if key in ("name", "module", "registered_name", "build_config"):
            continue
        if isinstance(value, Mapping):
            inner = value.get("config", value)
            if "class_name" in value:
                yield f"{prefix}.{key}", value["class_name"]
            if isinstance(inner, Mapping):
                yield from _flat(inner, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value


def _name(loss: Any) -> str | None:
    if loss is None or isinstance(loss, str):
        return loss
    if isinstance(loss, Mapping):
        return ", ".join(f"{key}: {_name(v)}" for key, v in loss.items())
    if isinstance(loss, (list, tuple)):
        return ", ".join(str(_name(v)) for v in loss)
    name = getattr(loss, "__name__", None)  # a function
    return name or type(loss).__name__


def _size(weights: Any) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
