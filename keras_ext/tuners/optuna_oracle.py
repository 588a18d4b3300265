"""A keras-tuner oracle that uses Optuna."""

import random
from typing import TYPE_CHECKING, Any

import keras_tuner

from keras_ext.tuners.optuna_samplers import (
    WITH_ATTRIBUTES,
    check_sampler,
    make_sampler,
)
from keras_ext.tuners.optuna_space import optuna_parameters, suggest, untried

if TYPE_CHECKING:
    import optuna

# How many suggestions of the sampler may be duplicates.
_ASKS = 4


class OptunaOracle(keras_tuner.Oracle):
    """Suggests trials with one of Optuna's samplers.

    Pass it to a tuner of your own; `OptunaSearch` is the ready one, and
    documents the arguments and errors. The oracle's files hold everything:
    Optuna's study lives in memory, and is rebuilt from the trials when a search
    is resumed. Each suggestion has a seed of its own, from `seed` and the
    number of the trial, so a resumed search suggests the same values as an
    undisturbed one. This holds for the named samplers; a sampler object starts
    in the state in which it is passed.

    Reference: Akiba et al., 2019, https://arxiv.org/abs/1907.10902; TPE:
    Watanabe, 2023, https://arxiv.org/abs/2304.11127.

    Example:
    >>> import keras_ext, keras_tuner
    >>> hp = keras_tuner.HyperParameters()
    >>> width = hp.Choice("width", [8])
    >>> oracle = keras_ext.tuners.OptunaOracle("val_loss", hyperparameters=hp)
    >>> oracle.populate_space("0")
    {'status': 'RUNNING', 'values': {'width': 8}}
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int = 10,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        sampler: Any = "tpe",
        n_startup_trials: int | None = None,
        avoid_duplicates: bool = True,
    ):
        super().__init__(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        if seed is not None:
            # keras-tuner takes 0 for "no seed".
            self.seed = self._seed_state = seed
        check_sampler(sampler, len(self._objectives()))
        if n_startup_trials is not None and n_startup_trials < 2:
            raise ValueError(
                "`n_startup_trials` must be at least 2. Received: "
                f"n_startup_trials={n_startup_trials!r}"
            )
        self.sampler = sampler
        self.n_startup_trials = n_startup_trials
        self.avoid_duplicates = avoid_duplicates
        # For each trial, how many suggestions of the sampler were duplicates.
        self._rejected: dict[str, int] = {}
        self._forget()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values to try next.

        Args:
            trial_id: Id of the new trial.

        Returns:
            A dict with the `status`, `"RUNNING"` or `"STOPPED"`, and the
            `values` of the active hyperparameters.
        """
        study = self._updated_study()
        number = len(self.start_order)
        for attempt in range(_ASKS):
            self._set_sampler(number, attempt)
            asked = study.ask()
            values = suggest(asked, self.hyperparameters.space)
            if not (self.avoid_duplicates and self._duplicate(values)):
                self._asked[trial_id] = asked
                self._rejected[trial_id] = attempt
                return {"status": "RUNNING", "values": values}
            self._give_up(asked)
        rest = untried(
            self.hyperparameters.space,
            self._duplicate,
            len(self._tried_so_far),
            random.Random(self._seed_of(number, _ASKS)),
        )
        if rest is None:
            return {"status": "STOPPED", "values": None}
        self._rejected[trial_id] = _ASKS
        self._set_sampler(number, _ASKS)
        self._asked[trial_id] = self._ask_for(rest)
        return {"status": "RUNNING", "values": rest}

    def pareto_trials(self) -> list[Any]:
        """Return the finished trials that none beats in all objectives.

        Returns:
            keras-tuner's trials, in the order in which they began. With one
            objective, these are the best trials.
        """
        best = {trial.number for trial in self._updated_study().best_trials}
        return [
            self.trials[trial_id]
            for trial_id, asked in self._asked.items()
            if asked.number in best
        ]

    def get_state(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {**super().get_state(), "rejected": self._rejected}

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the state; the next use rebuilds the study."""
        super().set_state(state)
        self._rejected = dict(state.get("rejected", {}))
        self._forget()

    def _forget(self) -> None:
        self._study: optuna.Study | None = None
        self._asked: dict[str, optuna.Trial] = {}
        self._reported: set[str] = set()

    def _updated_study(self) -> "optuna.Study":
        """Return the study, with all trials and their outcomes."""
        if self._study is None:
            self._study = _new_study([o.direction for o in self._objectives()])
        for number, trial_id in enumerate(self.start_order):
            if trial_id in self._reported:
                continue
            if trial_id not in self._asked:
                self._ask_again(number, trial_id)
            self._report(number, trial_id)
        return self._study

    def _ask_again(self, number: int, trial_id: str) -> None:
        """Add a trial of an earlier process to the study."""
        assert self._study is not None
        if self.sampler in WITH_ATTRIBUTES:
            for attempt in range(self._rejected.get(trial_id, 0)):
                self._set_sampler(number, attempt)
                asked = self._study.ask()
                suggest(asked, self.hyperparameters.space)
                self._give_up(asked)
        self._set_sampler(number, self._rejected.get(trial_id, 0), again=True)
        values = self.trials[trial_id].hyperparameters.values
        self._asked[trial_id] = self._ask_for(values)

    def _report(self, number: int, trial_id: str) -> None:
        """Report the outcome of a trial to the study, if it has ended."""
        assert self._study is not None
        trial = self.trials[trial_id]
        if trial.status == "FAILED":
            self._give_up(self._asked[trial_id])
        elif trial.status == "COMPLETED":
            known = optuna_parameters(
                self.hyperparameters.space, trial.hyperparameters.values
            )[0]
            if known.keys() != self._asked[trial_id].params.keys():
                # The trial's build has requested new hyperparameters.
                self._give_up(self._asked[trial_id])
                self._ask_again(number, trial_id)
            self._study.tell(self._asked[trial_id], self._outcome(trial))
        else:
            return
        self._reported.add(trial_id)

    def _ask_for(self, values: dict[str, Any]) -> "optuna.Trial":
        """Let the sampler suggest these values."""
        assert self._study is not None
        known, distributions = optuna_parameters(
            self.hyperparameters.space, values
        )
        self._study.enqueue_trial(known)
        asked = self._study.ask(distributions)
        # This calls the sampler, which then stores its attributes.
        _ = asked.relative_params
        return asked

    def _give_up(self, asked: "optuna.Trial") -> None:
        import optuna

        assert self._study is not None
        self._study.tell(asked, state=optuna.trial.TrialState.FAIL)

    def _set_sampler(
        self, number: int, attempt: int, again: bool = False
    ) -> None:
        """Set the study's sampler for suggestion `attempt` of a trial.

        `again`: the values are known; only the sampler's attributes matter.
        """
        assert self._study is not None
        if not isinstance(self.sampler, str):
            self._study.sampler = self.sampler
            return
        name = self.sampler
        if again and name not in WITH_ATTRIBUTES:
            name = "random"
        self._study.sampler = make_sampler(
            name,
            self._seed_of(number, attempt),
            self.n_startup_trials,
            bool(self.ongoing_trials),
        )

    def _seed_of(self, number: int, attempt: int) -> int:
        return random.Random(f"{self.seed} {number} {attempt}").getrandbits(31)

    def _objectives(self) -> list[Any]:
        return getattr(self.objective, "objectives", [self.objective])

    def _outcome(self, trial: Any) -> list[float]:
        """Return the objectives' values; several are those of one epoch."""
        objectives = self._objectives()
        if len(objectives) == 1:
            return [float(trial.score)]
        outcome = []
        for objective in objectives:
            history = trial.metrics.get_history(objective.name)
            seen = [o for o in history if o.step == trial.best_step]
            outcome.append(float((seen or history)[-1].mean()))
        return outcome


def _new_study(directions: list[str]) -> "optuna.Study":
    import optuna

    kinds = optuna.study.StudyDirection
    names = {"min": kinds.MINIMIZE, "max": kinds.MAXIMIZE}
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(directions=[names[d] for d in directions])
    finally:
        optuna.logging.set_verbosity(before)
