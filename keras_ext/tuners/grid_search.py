"""Grid search, tracked in MLflow."""

import keras_tuner

from keras_ext.tuners.tracked_tuner import TrackedTuner


class GridSearch(TrackedTuner, keras_tuner.GridSearch):
    """keras-tuner's `GridSearch`, tracked in MLflow.

    It tries all combinations. A `Float` or a logarithmic `Int` without `step`
    has ten values. A resumed grid search continues with the next combination;
    keras-tuner's own ends at once.

    Args:
        *args: The arguments of `keras_tuner.GridSearch`: `hypermodel`,
            `objective`, `max_trials` (`None` for the whole grid), `seed`, ….
        **kwargs: The same by name, and those of `TrackedTuner`.

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
