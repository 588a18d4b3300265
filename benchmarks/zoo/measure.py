"""What one model shows: the row of the results."""

import math
import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_ext
from benchmarks.zoo import conversion, registry, runs, verdicts
from keras_ext.callbacks import (
    ActivationLogger,
    DeadReLULogger,
    GradientNormLogger,
    TrainingDoctor,
    UpdateRatioLogger,
)

Row = dict[str, Any]
# Loggers measure in every n-th step, so that both kinds of steps occur.
EVERY = 4


def measure(name: str, source: str, folder: pathlib.Path) -> Row:
    """Return the row of a model.

    Args:
        name: Name of the model in the registry.
        source: Source of the model.
        folder: Receives what a fresh process loads.
    """
    row: Row = {}
    start = time.perf_counter()
    try:
        case = runs.made(name, source)
        history = runs.train(case, [])
    except Exception as error:
        return row | {"fails": {"plain training": runs.brief(error)}}
    model = case.model
    row |= {
        "layers": len({id(x) for x in model._flatten_layers()}),
        "weights": int(sum(math.prod(v.shape) for v in model.weights)),
        "loss": _ends(history),
    }
    fails: dict[str, str] = {}
    row["fails"] = fails
    plain = runs.state_of(model)

    def part(title: str, function: Callable[..., Row], *args: Any) -> None:
        try:
            row.update(function(*args))
        except Exception as error:
            fails[title] = runs.brief(error)

    if case.unmonitored:
        row["unmonitored"] = case.unmonitored
    else:
        part("monitors", _monitored, name, source, plain)
    part("convert", conversion.convert, case, folder)
    part("check", _checked, name, source)
    row["seconds"] = round(time.perf_counter() - start, 1)
    return row


def monitors() -> list[Any]:
    """Return all loggers and the doctor; none of them prints."""
    return [
        GradientNormLogger(EVERY),
        DeadReLULogger(EVERY),
        UpdateRatioLogger(EVERY),
        ActivationLogger(EVERY),
        TrainingDoctor(on_finding=lambda finding: None),
    ]


def _monitored(name: str, source: str, plain: Any) -> Row:
    """Train with all monitors, and compare."""
    case = runs.made(name, source)
    callbacks = monitors()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runs.train(case, callbacks)
    off = _distances(plain, runs.state_of(case.model))
    row: Row = {"off": {k: v for k, v in off.items() if v}}
    if row["off"]:
        largest = max(row["off"].values())
        row |= _control(name, source, plain, largest)
    ours = [str(w.message) for w in caught if _is_ours(w)]
    if ours:
        row["warnings"] = [" ".join(text.split())[:160] for text in ours[:3]]
    doctor = callbacks[-1]
    row["doctor"] = _findings(doctor.findings)
    return row | _keys(name, source, callbacks[0])


def _control(name: str, source: str, plain: Any, largest: float) -> Row:
    """Train again, to see what differs by itself.

    On PyTorch and TensorFlow the training is the same. XLA may round in
    another way in a step that returns more, and training amplifies that. So
    on JAX the first weights are rounded in another way, and then it trains
    with and without monitors op by op, without XLA's rounding of whole steps.
    """
    is_jax = keras.config.backend() == "jax"
    if is_jax and largest <= verdicts.ROUNDING:
        return {}
    case = runs.made(name, source)
    if is_jax:
        signs = np.random.default_rng(0)
        for variable in case.model.trainable_variables:
            value = runs.arrays([variable])[0]
            to = np.where(signs.random(value.shape) < 0.5, -np.inf, np.inf)
            variable.assign(np.nextafter(value, to.astype(value.dtype)))
    runs.train(case, [])
    off = max(_distances(plain, runs.state_of(case.model)).values())
    if not is_jax:
        return {"off_itself": off}
    row: Row = {"off_rounding": off}
    states = []
    for callbacks in ([], monitors()):
        case = runs.made(name, source)
        case.model.run_eagerly = True
        runs.train(case, callbacks)
        states.append(runs.state_of(case.model))
    row["off_op_by_op"] = max(_distances(*states).values())
    return row


def _distances(first: Any, second: Any) -> dict[str, float]:
    return {k: runs.distance(first[k], second[k]) for k in first}


def _is_ours(warning: Any) -> bool:
    return "keras_ext" in str(warning.filename) or any(
        word in str(warning.message) for word in ("Monitor", "Logger", "Doctor")
    )


def _keys(name: str, source: str, logger: GradientNormLogger) -> Row:
    """Compare the keys and norms with the gradients of a plain first step."""
    steps = logger.steps
    reported = {
        key.removeprefix("grad_norm/"): values
        for key, values in steps.items()
        if key.startswith("grad_norm/")
    }
    whole = reported.pop("global", np.array([np.nan]))[0]
    # TensorFlow runs one step faster than it traces one. But some models
    # compute in another way when they are traced, as the logger saw them.
    eager = keras.config.backend() == "tensorflow"
    case, first = _first_step(name, source, eager)
    if eager and not np.isclose(whole, first.global_norm, rtol=verdicts.NORM):
        case, first = _first_step(name, source, eager=False)
    expected = [first.norm_of(vs) for vs in owners(case.model)]
    used = sorted(norm for norm in expected if norm)
    found = sorted(values[0] for values in reported.values() if values[0] > 0)
    global_norm = first.global_norm
    row: Row = {
        "norm": float(f"{global_norm:.6g}"),
        "norm_off": float(f"{abs(whole - global_norm) / global_norm:.2g}"),
        "owners": len(expected),
        "used": len(used),
        "keys": len(reported),
        "keys_positive": len(found),
        "keys_unreadable": [k for k in reported if not _is_readable(k)][:3],
        "keys_not_finite": [
            k for k, v in reported.items() if not np.isfinite(v).all()
        ][:3],
    }
    if len(used) == len(found):
        small = 1e-6 * global_norm
        row["keys_off"] = max(
            (
                abs(a - b) / max(a, small)
                for a, b in zip(used, found, strict=True)
            ),
            default=0.0,
        )
        row["keys_off"] = float(f"{row['keys_off']:.2g}")
    return row


def _first_step(
    name: str, source: str, eager: bool
) -> tuple[registry.Case, runs.FirstStep]:
    """Train one step without monitors, and record its gradients."""
    case = runs.made(name, source)
    if eager:
        case.model.run_eagerly = True
    first = runs.FirstStep()
    with first.recording(case.model):
        runs.train(case, [], steps=1)
    return case, first


def owners(model: Any) -> list[list[Any]]:
    """Return the trainable variables of each layer that has its own.

    A recurrent layer owns those of its cell. A variable has one owner.
    """
    seen: set[int] = set()
    trainable = {id(v) for v in model.trainable_variables}
    found = []

    def visit(layer: Any) -> None:
        inner = list(layer._flatten_layers(include_self=False, recursive=False))
        folded = isinstance(layer, keras.layers.RNN)
        below = {
            id(v) for x in inner for v in x.trainable_variables if not folded
        }
        own = [
            v
            for v in layer.trainable_variables
            if id(v) in trainable and id(v) not in below | seen
        ]
        seen.update(map(id, own))
        if own:
            found.append(own)
        for other in [] if folded else inner:
            if id(other) not in visited:
                visited.add(id(other))
                visit(other)

    visited = {id(model)}
    visit(model)
    return found


def _is_readable(key: str) -> bool:
    return (
        0 < len(key) <= 200
        and key.isprintable()
        and not any(sign in key for sign in "<>{}")
        and all(part and not part.isdigit() for part in key.split("/"))
    )


def _checked(name: str, source: str) -> Row:
    """Run `check` on a new model."""
    case = runs.made(name, source)
    before = runs.arrays(case.model.variables)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        findings = keras_ext.doctor.check(
            case.model, case.x, case.y, batch_size=case.batch_size
        )
    row: Row = {
        "check_seconds": round(time.perf_counter() - start, 2),
        "check": _findings(findings),
    }
    after = runs.arrays(case.model.variables)
    # A model that was not built has other variables now.
    if len(before) == len(after) and runs.distance(before, after):
        row["check_changes"] = True
    return row


def _findings(findings: Any) -> list[str]:
    return [
        f"{f.severity}: {f.problem}" + (f" ({f.layer})" if f.layer else "")
        for f in findings
        if f.severity != "info"
    ]


def _ends(history: dict[str, Any]) -> list[float] | None:
    """Return a training's first and last loss."""
    keys = sorted(k for k in history if "loss" in k)
    key = "loss" if "loss" in keys else next(iter(keys), None)
    if key is None or not len(history[key]):
        return None
    values = [history[key][0], history[key][-1]]
    return [float(f"{float(np.mean(value)):.4g}") for value in values]
