"""The search space: its description, its active part, and its changes.

keras-tuner reloads the stored space and compares it with nothing: it adds the
new hyperparameters of a changed hypermodel, and ignores a new range without a
word. `adopt_space` takes both over and warns.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras_tuner

Requested = Callable[[Mapping[str, Any]], keras_tuner.HyperParameters]


class BranchedSpace(keras_tuner.HyperParameters):
    """A search space in which several branches may use one name.

    keras-tuner deletes the value of a name if any of its hyperparameters is
    inactive, although another one may be active.
    """

    def ensure_active_values(self) -> None:
        """Delete the values of inactive names, draw missing active ones."""
        done = set()
        for parameter in self.space:
            name = parameter.name
            if not self.is_active(name):
                self.values.pop(name, None)
            elif self.is_active(parameter) and name not in done:
                done.add(name)
                if not self._has_value(parameter):
                    self.values[name] = parameter.random_sample()

    def _has_value(self, parameter: Any) -> bool:
        """Return whether there is a value, and not one of another branch."""
        if parameter.name not in self.values:
            return False
        is_shared = [p.name for p in self.space].count(parameter.name) > 1
        value = self.values[parameter.name]
        return not is_shared or _contains(parameter, value)


def describe(space: keras_tuner.HyperParameters) -> list[dict[str, Any]]:
    """Return every hyperparameter of `space`, active or not, as plain data."""
    return [_describe(parameter) for parameter in space.space]


def names(space: keras_tuner.HyperParameters) -> list[str]:
    """Return the names of `space`, each once, in their order."""
    return list(dict.fromkeys(parameter.name for parameter in space.space))


def active(space: Sequence[Any], values: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the active hyperparameters that have no value yet.

    The caller puts each value into `values` before it takes the next
    hyperparameter, whose conditions may depend on it. If several active ones
    share a name, the first one counts.
    """
    for parameter in space:
        if parameter.name not in values and all(
            condition.is_active(values) for condition in parameter.conditions
        ):
            yield parameter


def adopt_space(
    new: keras_tuner.HyperParameters,
    oracle: keras_tuner.Oracle,
    folder: str,
    requested: Requested | None,
) -> None:
    """Let a reloaded search continue in the space of the current hypermodel.

    New hyperparameters are added, and new ranges replace the stored ones. One
    warning names the differences. A hyperparameter that the hypermodel no
    longer requests stays in the space, because the finished trials have it.
    `requested` returns the space that a build with some values requests; it is
    `None` if hyperparameters may be requested outside `build`.

    Raises:
        ValueError: If a trial has a value outside the new range.
    """
    stored = oracle.get_space()
    trials = [oracle.trials[key] for key in oracle.start_order]
    now, then = _by_identity(new), _by_identity(stored)
    changed = [
        (then[key], parameter)
        for key, parameter in now.items()
        if key in then and _range(parameter) != _range(then[key])
    ]
    for _, parameter in changed:
        _check_values(parameter, trials, folder)
    missing = [parameter for key, parameter in then.items() if key not in now]
    differences = {
        "added": [p.name for key, p in now.items() if key not in then],
        "drawn without effect": _unused(missing, trials, requested),
        "changed": [
            f"{p.name} (was {_text(old)}, is {_text(p)})" for old, p in changed
        ],
    }
    if changed:
        _replace(oracle, [parameter for _, parameter in changed])
    oracle.update_space(new)
    parts = [
        f"{kind}: {', '.join(texts)}"
        for kind, texts in differences.items()
        if texts
    ]
    if parts:
        warnings.warn(
            f"The search in {folder!r} continues in another space than it "
            f"began in: {'; '.join(parts)}.",
            stacklevel=2,
        )


def _describe(parameter: Any) -> dict[str, Any]:
    """Return name, type, range, default and conditions of a hyperparameter."""
    settings = dict(parameter.get_config())
    name = settings.pop("name")
    settings.pop("conditions", None)
    settings["default"] = parameter.default
    return {
        "name": name,
        "type": type(parameter).__name__,
        **settings,
        "conditions": [c.get_config() for c in parameter.conditions],
    }


def _by_identity(space: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Return hyperparameters by their name and their conditions."""
    return {
        f"{p.name} {[c.get_config() for c in p.conditions]}": p
        for p in space.space
    }


def _range(parameter: Any) -> dict[str, Any]:
    config = _describe(parameter)
    del config["default"]
    return config


def _text(parameter: Any) -> str:
    shown = {
        key: value
        for key, value in _range(parameter).items()
        if key not in ("name", "type", "conditions") and value is not None
    }
    values = ", ".join(f"{key}={value!r}" for key, value in shown.items())
    return f"{type(parameter).__name__}({values})"


def _check_values(parameter: Any, trials: Iterable[Any], folder: str) -> None:
    for trial in trials:
        value = _value(parameter, trial)
        if value is not None and not _contains(parameter, value):
            raise ValueError(
                "`hypermodel` must allow the values of the stored trials of "
                f"the search in {folder!r}. Use another `project_name`, or "
                "pass `overwrite=True` to delete the stored search. Received: "
                f"{parameter.name} as {_text(parameter)}, but trial "
                f"{trial.trial_id} has {parameter.name}={value!r}"
            )


def _value(parameter: Any, trial: Any) -> Any:
    """Return the value in a trial, `None` if it is inactive there."""
    if not trial.hyperparameters.is_active(parameter):
        return None
    return trial.hyperparameters.values.get(parameter.name)


def _contains(parameter: Any, value: Any) -> bool:
    """Return whether a value lies in a range, on one of its steps."""
    if isinstance(parameter, keras_tuner.engine.hyperparameters.Fixed):
        return value == parameter.value
    if not hasattr(parameter, "min_value"):
        return value in parameter.values
    low, high = parameter.min_value, parameter.max_value
    if isinstance(value, bool | str) or not low <= value <= high:
        return False
    nearest = parameter.prob_to_value(parameter.value_to_prob(value))
    return math.isclose(nearest, value, rel_tol=1e-6, abs_tol=1e-12)


def _unused(
    missing: Iterable[Any], trials: Iterable[Any], requested: Requested | None
) -> list[str]:
    """Return the names that even the trials that have them do not request.

    A model may request `units_2` only where there are three layers.
    """
    unused = []
    for parameter in missing:
        first = next(
            (t for t in trials if _value(parameter, t) is not None), None
        )
        if first is None or requested is None:
            continue
        space = requested(first.hyperparameters.values)
        if parameter.name not in names(space):
            unused.append(parameter.name)
    return list(dict.fromkeys(unused))


def _replace(oracle: keras_tuner.Oracle, parameters: Iterable[Any]) -> None:
    """Replace the ranges of hyperparameters that the oracle knows."""
    other = keras_tuner.HyperParameters()
    other.merge([*parameters])
    space = keras_tuner.HyperParameters()
    known = _by_identity(oracle.get_space())
    space.merge([*(known | _by_identity(other)).values()])
    oracle.hyperparameters = space
