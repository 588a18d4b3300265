"""keras-tuner's hyperparameters as Optuna's distributions, and back."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_tuner.engine import hyperparameters as kinds

from keras_ext.tuners.search_space import active

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

Values = Mapping[str, Any]


def suggest(trial: "Trial", space: Sequence[Any]) -> dict[str, Any]:
    """Return Optuna's suggestion for each active hyperparameter, by name."""
    values: dict[str, Any] = {}
    for parameter in active(space, values):
        axis = Axis(parameter)
        values[parameter.name] = axis.suggest(trial)
    return values


def optuna_parameters(
    space: Sequence[Any], values: Values
) -> tuple[dict[str, Any], dict[str, "BaseDistribution"]]:
    """Return values as Optuna's parameters, and their distributions.

    Hyperparameters that are inactive or have no value are left out. A value
    outside the space, such as a default, becomes the nearest one inside.
    """
    parameters, distributions = {}, {}
    seen: dict[str, Any] = {}
    for parameter in active(space, seen):
        if parameter.name not in values:
            continue
        value = seen[parameter.name] = values[parameter.name]
        axis = Axis(parameter)
        if axis.distribution is not None:
            parameters[axis.key] = axis.to_optuna(value)
            distributions[axis.key] = axis.distribution
    return parameters, distributions


def untried(
    space: Sequence[Any],
    is_tried: Callable[[Values], bool],
    tried: int,
    rng: random.Random,
) -> dict[str, Any] | None:
    """Return random values that were not tried, or `None` if all were.

    At most `tried + 1` values are checked, however large the space is; `tried`
    is the number of tried values.
    """

    def walk(values: Values, rest: Sequence[Any]) -> dict[str, Any] | None:
        for parameter in active(rest, values):
            after = rest[rest.index(parameter) + 1 :]
            for value in Axis(parameter).draw(tried + 1, rng):
                found = walk({**values, parameter.name: value}, after)
                if found is not None:
                    return found
            return None
        return None if is_tried(values) else dict(values)

    return walk({}, list(space))


class Axis:
    """One hyperparameter, as an axis of Optuna's space.

    | keras-tuner | Optuna |
    |---|---|
    | `Boolean`, unordered `Choice` | categories |
    | ordered `Choice`, `Int` and `Float` with a step | their levels, 0, 1, … |
    | `Int`, `Float` | integers, floats, on their linear or logarithmic scale |
    | `sampling="reverse_log"` | logarithmic, of `min + max - value` |
    | `Fixed` | nothing |

    Attributes:
        key: Its name in Optuna's space, with its conditions: in keras-tuner,
            hyperparameters with one name and different conditions differ.
        distribution: Optuna's distribution, `None` for a `Fixed` one.
        levels: Its values in increasing order if they are numbered, or its
            categories; `None` if they are a range.
    """

    def __init__(self, parameter: Any):
        self.parameter = parameter
        self.key = " | ".join(
            [parameter.name]
            + [f"{c.name} in {c.values}" for c in parameter.conditions]
        )
        self.levels = _levels(parameter)
        self.distribution = self._distribution()

    def suggest(self, trial: "Trial") -> Any:
        """Return the value that Optuna suggests."""
        axis = self.distribution
        if axis is None:
            return self.parameter.value
        if _is_categorical(self.parameter):
            return trial.suggest_categorical(self.key, self.levels or ())
        kind: Any = trial.suggest_float
        if self._is_int():
            kind = trial.suggest_int
        number = kind(self.key, axis.low, axis.high, log=axis.log)
        return self.levels[number] if self.levels else self._mirrored(number)

    def to_optuna(self, value: Any) -> Any:
        """Return the position of a value on the axis."""
        if _is_categorical(self.parameter):
            return value
        if self.levels is not None:
            gaps = [abs(level - value) for level in self.levels]
            return gaps.index(min(gaps))
        low, high = self._ends()
        return self._mirrored(min(max(value, low), high))

    def draw(self, most: int, rng: random.Random) -> list[Any]:
        """Return up to `most` different values in random order.

        A `Float` without a step has endless values and returns one.
        """
        if self.distribution is None:
            return [self.parameter.value]
        if self.levels is None and not self._is_int():
            return [self.parameter.prob_to_value(rng.random())]
        values: Sequence[Any] = self.levels or ()
        if self.levels is None:
            low, high = self._ends()
            values = range(low, high + 1)
        return rng.sample(values, min(len(values), most))

    def _distribution(self) -> Any:
        if isinstance(self.parameter, kinds.Fixed):
            return None
        from optuna import distributions

        if _is_categorical(self.parameter):
            return distributions.CategoricalDistribution(self.levels or ())
        if self.levels is not None:
            return distributions.IntDistribution(0, len(self.levels) - 1)
        kind: Any = distributions.FloatDistribution
        if self._is_int():
            kind = distributions.IntDistribution
        low, high = self._ends()
        return kind(low, high, log=self.parameter.sampling != "linear")

    def _is_int(self) -> bool:
        return self.levels is not None or isinstance(self.parameter, kinds.Int)

    def _mirrored(self, number: Any) -> Any:
        """Exchange the ends of the range for `"reverse_log"`."""
        if self.parameter.sampling != "reverse_log":
            return number
        low, high = self._ends()
        return min(max(low + high - number, low), high)

    def _ends(self) -> tuple[Any, Any]:
        return self.parameter.min_value, self.parameter.max_value


def _is_categorical(parameter: Any) -> bool:
    if isinstance(parameter, kinds.Choice):
        return not parameter.ordered
    return isinstance(parameter, kinds.Boolean)


def _levels(parameter: Any) -> list[Any] | None:
    """Return the values of a hyperparameter that lists them, each once."""
    if isinstance(parameter, kinds.Fixed):
        return None
    if isinstance(parameter, (kinds.Choice, kinds.Boolean)):
        values = list(dict.fromkeys(parameter.values))
        return values if _is_categorical(parameter) else sorted(values)
    if parameter.step is None or (
        isinstance(parameter, kinds.Int)
        and parameter.sampling == "linear"
        and parameter.step == 1
    ):
        return None
    # The `values` of an `Int` on a logarithmic scale are floats.
    count = len(tuple(parameter.values))
    probs = [(i + 0.5) / count for i in range(count)]
    return sorted({parameter.prob_to_value(prob) for prob in probs})
