"""Search state that survives a kill at any moment.

keras-tuner writes a trial's file, then the oracle's, while it ends the trial,
and overwrites the old contents. A kill in between leaves half a file, or a
trial that has ended but still runs. Here files are replaced whole, and the
oracle's file decides: a trial that it does not contain never began.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import keras_tuner

from keras_ext._files import write_whole
from keras_ext.tuners.search_space import BranchedSpace

_ENDED = ("COMPLETED", "FAILED", "INVALID")


class CrashSafe(keras_tuner.Oracle):
    """Mixin for oracles whose state survives a kill at any moment.

    The end of a trial is saved last, the trial's file before the oracle's. A
    reloaded oracle removes trials that its file does not contain, and ends a
    running trial again that has ended in its own file.
    """

    _ending = False
    _running: tuple[str, ...] = ()

    def get_space(self) -> keras_tuner.HyperParameters:
        """Return a copy of the search space."""
        space = super().get_space()
        space.__class__ = BranchedSpace
        return space

    def save(self) -> None:
        """Write the oracle's state, unless a trial is ending."""
        if not self._ending:
            write_whole(self._get_oracle_fname(), self.get_state())

    def create_trial(self, tuner_id: str) -> Any:
        """Return the next trial: a new one, or one to retry."""
        trial = super().create_trial(tuner_id)
        if trial.metrics.metrics:
            # keras-tuner would not replace the metrics of an earlier attempt.
            trial.metrics = type(trial.metrics)()
            trial.score, trial.message = None, None
        return trial

    def update_trial(
        self, trial_id: str, metrics: dict[str, Any], step: int = 0
    ) -> Any:
        """Take a trial's metrics, some of which may be NaN."""
        with _nan_is_no_surprise():
            return super().update_trial(trial_id, metrics, step)

    def end_trial(self, trial: Any) -> None:
        """End a trial, and then save."""
        self._ending = True
        try:
            with _nan_is_no_surprise():
                super().end_trial(trial)
        finally:
            self._ending = False
        self.save()

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the state, and store which trials were running."""
        known = set(self.trials)
        running = state["ongoing_trials"].items()
        state["ongoing_trials"] = {k: t for k, t in running if t in known}
        super().set_state(state)
        self._running = tuple(state["ongoing_trials"].values())

    def reload(self) -> None:
        """Load the state; end the trials that a crash left half ended."""
        super().reload()
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]
            shutil.rmtree(self._get_trial_dir(trial_id), ignore_errors=True)
        for trial_id in self._running:
            trial = self.trials[trial_id]
            if trial.status in _ENDED:
                self._retry_queue.remove(trial_id)
                self._end_again(trial)

    def _end_again(self, trial: Any) -> None:
        try:
            self.end_trial(trial)
        except RuntimeError:
            # Too many failures in a row: the resumed search may do better.
            self.end_order.remove(trial.trial_id)
            self._retry_queue.append(trial.trial_id)

    def _record_values(self, trial: Any) -> None:
        # keras-tuner deletes inactive values here.
        trial.hyperparameters.__class__ = BranchedSpace
        super()._record_values(trial)

    def _save_trial(self, trial: Any) -> None:
        folder = self._get_trial_dir(trial.trial_id)
        write_whole(os.path.join(folder, "trial.json"), trial.get_state())


@contextlib.contextmanager
def _nan_is_no_surprise() -> Iterator[None]:
    """Silence NumPy where keras-tuner takes the best of only NaN values.

    keras-tuner asks each metric for its best value, and a diverged training
    has a loss of NaN in every epoch.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        yield
