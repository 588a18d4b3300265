"""What `keras_ext.convert` keeps, in this process and in a fresh one."""

import hashlib
import importlib
import pathlib
import pickle
import time
import warnings
from typing import Any

import keras
import numpy as np

import keras_ext
from benchmarks.zoo import registry, runs

Row = dict[str, Any]


def convert(case: registry.Case, folder: pathlib.Path) -> Row:
    """Convert a trained model, compare, and write what is to be loaded."""
    model, row = case.model, {}
    outputs = _outputs(model, case.batch)
    _write(folder, "plain", model, case.batch, outputs)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = keras_ext.convert(model, print_fn=None)
    row["convert_seconds"] = round(time.perf_counter() - start, 2)
    differences = compiled_differences(model, new)
    again, found = _outputs(model, case.batch), _outputs(new, case.batch)
    row["outputs_off"] = runs.distance(again, found)
    if runs.distance(outputs, again):
        row["outputs_random"] = True
    row["components"] = _ours(new)
    _write(folder, "converted", new, case.batch, outputs)
    before, after = (_judgement(m, case, outputs) for m in (model, new))
    if before.keys() != after.keys() or not np.allclose(
        list(before.values()), list(after.values()), rtol=1e-4, equal_nan=True
    ):
        differences.append("values of losses and metrics")
    if differences:
        row["convert_differs"] = differences
    return row


def _write(
    folder: pathlib.Path, kind: str, model: Any, batch: Any, outputs: Any
) -> None:
    """Save a model, its variables' digests, and a batch with its outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    expected: Row = {
        "weights": digests(model.weights),
        "optimizers": {
            key: [type(o).__name__, digests(o.variables)]
            for key, o in runs.optimizers_of(model).items()
        },
    }
    own = {type(layer) for layer in model._flatten_layers()}
    expected["classes"] = [
        (c.__module__, c.__qualname__)
        for c in own
        if c.__module__.split(".")[0] not in ("keras", "keras_ext")
        and "<locals>" not in c.__qualname__
    ]
    with (folder / f"{kind}.pickle").open("wb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.save(folder / f"{kind}.keras")
        except Exception as error:
            expected["save"] = runs.brief(error)
        pickle.dump((expected, batch, outputs), file)


def _judgement(model: Any, case: registry.Case, outputs: Any) -> Row:
    """Return the losses and metrics that a model gives to some outputs."""
    if case.y is None or not getattr(model, "compiled", False):
        return {}
    count = len(outputs[0])
    x, y = keras.tree.map_structure(lambda a: a[:count], (case.x, case.y))
    structure = getattr(model, "output", outputs[0])
    if len(keras.tree.flatten(structure)) != len(outputs):
        return {}
    y_pred = keras.tree.pack_sequence_as(structure, outputs)
    x, y, y_pred = keras.tree.map_structure(
        keras.ops.convert_to_tensor, (x, y, y_pred)
    )
    model.reset_metrics()
    try:
        loss = model.compute_loss(x, y, y_pred, training=False)
        metrics = model.compute_metrics(x, y, y_pred)
    except Exception:
        return {}  # The model's own step computes them.
    values = {"computed loss": loss, **metrics}
    return {
        key: float(np.mean(keras.ops.convert_to_numpy(value)))
        for key, value in values.items()
    }


def load(folder: pathlib.Path) -> Row:
    """Load a plain and a converted model in this process and compare."""
    row: Row = {}
    for kind in ("plain", "converted"):
        if not (folder / f"{kind}.pickle").exists():
            continue
        with (folder / f"{kind}.pickle").open("rb") as file:
            expected, batch, outputs = pickle.load(file)
        if "save" in expected:
            row[f"{kind}_load"] = f"save: {expected['save']}"
            continue
        keras.utils.clear_session()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = keras.saving.load_model(
                    folder / f"{kind}.keras",
                    custom_objects=_classes(expected["classes"]),
                )
        except Exception as error:
            row[f"{kind}_load"] = runs.brief(error)
            continue
        wrong = []
        if digests(model.weights) != expected["weights"]:
            wrong.append("weights")
        found = {
            key: [type(o).__name__, digests(o.variables)]
            for key, o in runs.optimizers_of(model).items()
        }
        if found != expected["optimizers"]:
            wrong.append("optimizers")
        if wrong:
            row[f"{kind}_load_differs"] = wrong
        if kind == "converted":
            row["loaded_off"] = runs.distance(outputs, _outputs(model, batch))
    return row


def _classes(names: list[tuple[str, str]]) -> dict[str, Any]:
    """Import classes, as a person does before loading a model."""
    return {
        name: getattr(importlib.import_module(module), name)
        for module, name in names
    }


def digests(variables: Any) -> list[str]:
    """Return a short digest of each variable's value."""
    return [
        hashlib.sha256(array.tobytes()).hexdigest()[:12]
        for array in runs.arrays(variables)
    ]


def compiled_differences(old: Any, new: Any) -> list[str]:
    """Return in what of `compile` a converted model differs."""
    found = []
    before, after = runs.optimizers_of(old), runs.optimizers_of(new)
    if before.keys() != after.keys():
        found.append(f"optimizers {sorted(before)} became {sorted(after)}")
    for key in before.keys() & after.keys():
        a, b = before[key], after[key]
        if type(a).__name__ != type(b).__name__:
            found.append(f"{key}: {type(a).__name__}, {type(b).__name__}")
            continue
        if not _contains(b.get_config(), a.get_config()):
            found.append(f"{key}: settings")
        if runs.distance(runs.arrays(a.variables), runs.arrays(b.variables)):
            found.append(f"{key}: state")
    for part in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        pair = [_compile_part(model, part) for model in (old, new)]
        if not _contains(pair[1], pair[0]):
            found.append(part)
    weights = [runs.arrays(model.weights) for model in (old, new)]
    if runs.distance(*weights):
        found.append("weights")
    flags = [[v.trainable for v in model.variables] for model in (old, new)]
    if flags[0] != flags[1]:
        found.append("trainable flags")
    return found


def _compile_part(model: Any, part: str) -> Any:
    if part == "loss":
        return _plain(getattr(model, "loss", None))
    config = None
    if getattr(model, "compiled", False):
        config = model.get_compile_config()
    return (config or {}).get(part)


def _plain(value: Any) -> Any:
    """Return losses as plain configs."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        value = keras.losses.get(value)
    if isinstance(value, keras.losses.Loss):
        return {"class_name": type(value).__name__, **value.get_config()}
    return getattr(value, "__name__", value)


def _contains(new: Any, old: Any) -> bool:
    """Return whether `new` has all of `old`; modules may differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(
            key in ("module", "registered_name")
            or (key in new and _contains(new[key], value))
            for key, value in old.items()
        )
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(
            _contains(b, a) for a, b in zip(old, new, strict=True)
        )
    if isinstance(old, float) and isinstance(new, float):
        return np.isclose(old, new, rtol=1e-6)
    return bool(new == old)


def _outputs(model: Any, batch: Any) -> list[np.ndarray]:
    outputs = model.predict_on_batch(batch)
    return [np.asarray(a) for a in keras.tree.flatten(outputs)]


def _ours(model: Any) -> int:
    """Count the layers of a model that are keras_ext's."""
    layers = {id(x): x for x in model._flatten_layers()}
    return sum(
        type(layer).__module__.startswith("keras_ext.")
        for layer in layers.values()
    )
