"""A ready search's definition as a keras-tuner hypermodel."""

from typing import Any

import keras
import keras_tuner

from keras_ext.cli.search.definition import Definition, Task

VALIDATION_BATCH = 512


class SearchModel(keras_tuner.HyperModel):
    """Builds and fits the models of a definition.

    Args:
        definition: The search's definition.
        task: What the models are for.
        objective: A `keras_tuner.Objective`.
        seed: Seed of the search.

    Attributes:
        trial: Number of the trial to build. It is part of the trial's seed,
            so that each trial has random numbers of its own.
    """

    def __init__(
        self, definition: Definition, task: Task, objective: Any, seed: int
    ):
        super().__init__()
        self.definition = definition
        self.task = task
        self.objective = objective
        self.seed = seed
        self.trial = 0

    def build(self, hp: Any) -> keras.Model:
        """Return a compiled model."""
        keras.utils.set_random_seed(trial_seed(self.seed, self.trial))
        return self.definition.build(hp, self.task)

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train with the batch size and the epochs of the trial."""
        own = self.definition.fit_arguments(hp, self.task, self.objective)
        if not self.task.tuned_epochs:
            # The tuner chooses them, and may continue another trial.
            own["epochs"] = kwargs["epochs"]
        own["callbacks"] = [*kwargs["callbacks"], *own["callbacks"]]
        options = {
            "verbose": 0,
            "validation_batch_size": VALIDATION_BATCH,
            **kwargs,
            **own,
        }
        return model.fit(*args, **options)


def trial_seed(seed: int, trial: int) -> int:
    """Return the seed of a trial's random numbers."""
    return (seed * 10_000 + trial) % 2**32


def search_seed(seed: int) -> int:
    """Return the seed of the draws.

    keras-tuner adds 1 to its seed for each value that it draws. The factor
    keeps neighbouring seeds from drawing the same trials.
    """
    return seed * 1_000_003
