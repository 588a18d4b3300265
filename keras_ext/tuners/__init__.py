"""keras-tuner searches that MLflow tracks, trial by trial."""

try:
    import keras_tuner as _keras_tuner  # noqa: F401
except ImportError as error:
    raise ImportError(
        '`keras_ext.tuners` needs keras-tuner: pip install "keras-ext[tuner]"'
    ) from error

from keras_ext.tuners.bayesian_optimization import (
    BayesianOptimization as BayesianOptimization,
)
from keras_ext.tuners.grid_search import GridSearch as GridSearch
from keras_ext.tuners.hyperband import Hyperband as Hyperband
from keras_ext.tuners.optuna_oracle import OptunaOracle as OptunaOracle
from keras_ext.tuners.optuna_search import OptunaSearch as OptunaSearch
from keras_ext.tuners.pruning.pruners import (
    ASHAPruner as ASHAPruner,
    MedianPruner as MedianPruner,
    Pruner as Pruner,
    TrialHistory as TrialHistory,
)
from keras_ext.tuners.random_search import RandomSearch as RandomSearch
from keras_ext.tuners.tracked_tuner import TrackedTuner as TrackedTuner
