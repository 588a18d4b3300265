"""Bayesian optimization, recorded in MLflow."""

import keras_tuner

from keras_ext.tuners.tracked_tuner import TrackedTuner


class BayesianOptimization(TrackedTuner, keras_tuner.BayesianOptimization):
    """keras-tuner's `BayesianOptimization`, recorded in MLflow.

    A Gaussian process predicts the score over the whole space, after three
    random trials for each hyperparameter (`num_initial_points`). Values that
    were tried are not tried again, and a resumed search makes the suggestions
    that it would have made; both are not so in keras-tuner. `OptunaSearch`
    needs less time for a suggestion, and fewer trials in conditional spaces.

    Args:
        *args: See `keras_tuner.BayesianOptimization`: `hypermodel`,
            `objective`, `max_trials`, `num_initial_points`, `alpha`, `beta`,
            `seed`, ….
        **kwargs: See there, and `TrackedTuner`.
    """
