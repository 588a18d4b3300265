"""keras-tuner's oracles with their bugs fixed.

They hold no state of their own, so an existing oracle can be converted in
place (`make_crash_safe`).
"""

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import keras_tuner
import numpy as np

from keras_ext.tuners.crash_safety import CrashSafe
from keras_ext.tuners.search_space import active

Values = dict[str, Any]
Response = dict[str, Any]


def make_crash_safe(oracle: keras_tuner.Oracle) -> None:
    """Replace an oracle's class by a subclass that survives crashes."""
    kind = type(oracle)
    if issubclass(kind, CrashSafe):
        return
    for patched in (
        GridSearchOracle,
        BayesianOptimizationOracle,
        HyperbandOracle,
    ):
        if kind is patched.__bases__[1]:
            oracle.__class__ = patched
            return
    oracle.__class__ = type(kind.__name__, (CrashSafe, kind), {})


class GridSearchOracle(CrashSafe, keras_tuner.oracles.GridSearchOracle):
    """A grid search that continues after a restart.

    keras-tuner does not save which combinations come next, so its restarted
    grid search ends at once. It also takes hyperparameters of one name in
    several branches for one hyperparameter.
    """

    _ordered_ids: Any

    def reload(self) -> None:
        """Read the state and restore the position in the grid."""
        super().reload()
        self._ordered_ids = type(self._ordered_ids)()
        before = None
        for trial_id in sorted(self.trials, key=self._place):
            self._ordered_ids.insert(trial_id, before)
            before = trial_id
        self._populate_next = list(self.start_order)

    @property
    def _place(self) -> Any:
        def compare(first: str, second: str) -> int:
            values = (
                self.trials[i].hyperparameters.values for i in (first, second)
            )
            return self._compare(*values)

        return functools.cmp_to_key(compare)

    def _compare(self, a: Values, b: Values) -> int:
        for parameter in self._chosen(a):
            mine = a[parameter.name]
            other = b.get(parameter.name, parameter.default)
            if mine != other:
                levels = _levels(parameter)
                return -1 if levels.index(mine) < levels.index(other) else 1
        return 0

    def _get_next_combination(self, values: Values) -> Values | None:
        """Advance the last hyperparameter that has a next value."""
        chosen = list(self._chosen(values))
        for place in reversed(range(len(chosen))):
            last = chosen[place]
            levels = _levels(last)
            rest = levels[levels.index(values[last.name]) + 1 :]
            if rest:
                kept = {p.name: values[p.name] for p in chosen[:place]}
                following = {**kept, last.name: rest[0]}
                for parameter in active(self.hyperparameters.space, following):
                    following[parameter.name] = parameter.default
                return following
        return None

    def _chosen(self, values: Values) -> Iterator[Any]:
        """Yield the active hyperparameters that have a value."""
        known: Values = {}
        for parameter in active(self.hyperparameters.space, known):
            if parameter.name in values:
                known[parameter.name] = values[parameter.name]
                yield parameter


class BayesianOptimizationOracle(
    CrashSafe, keras_tuner.oracles.BayesianOptimizationOracle
):
    """Bayesian optimization that does not try the same values twice.

    keras-tuner's oracle may suggest one point again and again; here a random
    point replaces it. The draws depend on the seed and the number of the
    trial alone, so a resumed search continues like an undisturbed one.
    """

    def populate_space(self, trial_id: str) -> Response:
        """Return the values to try next."""
        seed = (self.seed + len(self.trials)) % 2**32
        self._random_state = np.random.RandomState(seed)
        with warnings.catch_warnings():
            # scikit-learn's warning about its kernel: users cannot act on it.
            warnings.filterwarnings("ignore", category=UserWarning)
            response = super().populate_space(trial_id)
        values = response.get("values")
        if values and self._duplicate(values):
            return self._random_populate_space()
        return response


class HyperbandOracle(CrashSafe, keras_tuner.oracles.HyperbandOracle):
    """Hyperband that keeps its promotions when trials fail.

    keras-tuner promotes once more trials of a rung have finished than the rung
    drops, and does not count failed trials as dropped: each failure costs a
    promotion. It also counts the best epoch of a promoted trial from the epoch
    of its promotion.
    """

    hyperband_iterations: float
    _brackets: list[dict[str, Any]]
    _current_bracket: int
    _current_iteration: int

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the state; the number of iterations may have been raised."""
        iterations = self.hyperband_iterations
        super().set_state(state)
        self.hyperband_iterations = max(iterations, self.hyperband_iterations)

    def update_trial(
        self, trial_id: str, metrics: dict[str, Any], step: int = 0
    ) -> Any:
        """Store a trial's metrics; `step` counts from its first epoch."""
        values = self.trials[trial_id].hyperparameters.values
        first = values.get("tuner/initial_epoch", 0)
        return super().update_trial(trial_id, metrics, step + first)

    def populate_space(self, trial_id: str) -> Response:
        """Return the values to try next: a promotion, or random ones."""
        if not self.hyperparameters.space:
            raise keras_tuner.errors.FatalValueError(
                "`hypermodel` must have a hyperparameter: Hyperband chooses "
                "among its values."
            )
        self._brackets = [b for b in self._brackets if not self._is_done(b)]
        for bracket in self._brackets:
            rungs = bracket["rounds"]
            if len(rungs[0]) < self._sizes(bracket)[0]:
                response = self._random_trial(trial_id, bracket)
                if response["status"] == "RUNNING":
                    return response
                # The space is used up; the drawn trials can be promoted.
                bracket["drawn"] = len(rungs[0])
            for rung in range(1, len(rungs)):
                best = self._to_promote(bracket, rung)
                if best is not None:
                    return self._promoted(trial_id, bracket, rung, best)
        return self._next_bracket(trial_id)

    def _sizes(self, bracket: dict[str, Any]) -> list[int]:
        """Return how many trials each rung can have."""
        rungs, number = bracket["rounds"], bracket["bracket_num"]
        sizes = [bracket.get("drawn", self._get_size(number, 0))]
        for rung in range(1, len(rungs)):
            left = sizes[-1] - self._failed(rungs[rung - 1])
            sizes.append(min(self._get_size(number, rung), left))
        return sizes

    def _failed(self, trials: list[dict[str, Any]]) -> int:
        return sum(self.trials[t["id"]].status == "FAILED" for t in trials)

    def _is_done(self, bracket: dict[str, Any]) -> bool:
        return [len(rung) for rung in bracket["rounds"]] == self._sizes(bracket)

    def _to_promote(self, bracket: dict[str, Any], rung: int) -> Any:
        """Return the trial to promote into a rung, if it is certain.

        It is certain once enough trials have ended worse, so that the running
        ones cannot replace it.
        """
        before, here = bracket["rounds"][rung - 1 : rung + 1]
        sizes = self._sizes(bracket)
        promoted = {t["past_id"] for t in here}
        trials = [self.trials[t["id"]] for t in before]
        candidates = [
            trial
            for trial in trials
            if trial.status == "COMPLETED" and trial.trial_id not in promoted
        ]
        dropped = sizes[rung - 1] - sizes[rung] - self._failed(before)
        if len(here) >= sizes[rung] or len(candidates) <= dropped:
            return None
        choose = max if self.objective.direction == "max" else min
        return choose(candidates, key=lambda trial: trial.score)

    def _promoted(
        self, trial_id: str, bracket: dict[str, Any], rung: int, best: Any
    ) -> Response:
        number = bracket["bracket_num"]
        bracket["rounds"][rung].append(
            {"past_id": best.trial_id, "id": trial_id}
        )
        values = {
            **best.hyperparameters.values,
            "tuner/trial_id": best.trial_id,
            "tuner/epochs": self._get_epochs(number, rung),
            "tuner/initial_epoch": self._get_epochs(number, rung - 1),
            "tuner/bracket": number,
            "tuner/round": rung,
        }
        return {"status": "RUNNING", "values": values}

    def _next_bracket(self, trial_id: str) -> Response:
        is_last = self._current_iteration + 1 >= self.hyperband_iterations
        if self._current_bracket == 0 and is_last:
            # A running trial may still be promoted.
            status = "IDLE" if self.ongoing_trials else "STOPPED"
            return {"status": status}
        self._increment_bracket_num()
        self._start_new_bracket()
        return self._random_trial(trial_id, self._brackets[-1])


def _levels(parameter: Any) -> list[Any]:
    """Return the values of a hyperparameter on the grid, the default first."""
    rest = [value for value in parameter.values if value != parameter.default]
    return [parameter.default, *rest]
