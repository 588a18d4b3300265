"""keras-tuner searches that MLflow records, trial by trial."""

try:
    import keras_tuner as _keras_tuner  # noqa: F401
except ImportError as error:
    raise ImportError(
        '`keras_ext.tuners` needs keras-tuner: pip install "keras-ext[tuner]"'
    ) from error

from keras_ext.tuners.random_search import RandomSearch as RandomSearch
from keras_ext.tuners.tracked_tuner import TrackedTuner as TrackedTuner
