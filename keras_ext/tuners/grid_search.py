"""Grid search, recorded in MLflow."""

import keras_tuner

from keras_ext.tuners.tracked_tuner import TrackedTuner


class GridSearch(TrackedTuner, keras_tuner.GridSearch):
    """keras-tuner's `GridSearch`, recorded in MLflow.

    It tries all combinations: of `Float` and of logarithmic `Int`
    hyperparameters without `step` ten values each. A grid that was broken off
    is gone through to its end; keras-tuner's own ends at once when it is made
    again.

    Args:
        *args: See `keras_tuner.GridSearch`: `hypermodel`, `objective`,
            `max_trials` (`None` for the whole grid), `seed`, ….
        **kwargs: See there, and `TrackedTuner`.

    Example:
    >>> import keras, keras_ext, numpy as np, tempfile
    >>> def build(hp):
    ...     rate = hp.Choice("learning_rate", [0.1, 0.01])
    ...     model = keras.Sequential(
    ...         [keras.layers.Dense(hp.Int("width", 1, 2)),
    ...          keras.layers.Dense(1)]
    ...     )
    ...     model.compile(keras.optimizers.SGD(rate), "mse")
    ...     return model
    >>> folder = tempfile.TemporaryDirectory()
    >>> tuner = keras_ext.tuners.GridSearch(
    ...     build, "val_loss", directory=folder.name,
    ...     tracking_uri=f"sqlite:///{folder.name}/mlflow.db",
    ... )
    >>> x, y = np.ones((32, 2)), np.ones((32, 1))
    >>> tuner.search(x, y, validation_split=0.5, verbose=0)
    >>> len(tuner.oracle.trials)
    4
    """
