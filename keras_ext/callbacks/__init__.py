"""Callbacks to pass to `fit`."""

from keras_ext.callbacks.activation_logger import (
    ActivationLogger as ActivationLogger,
)
from keras_ext.callbacks.dead_relu_logger import (
    DeadReLULogger as DeadReLULogger,
)
from keras_ext.callbacks.gradient_norm_logger import (
    GradientNormLogger as GradientNormLogger,
)
from keras_ext.callbacks.mlflow_logger import MLflowLogger as MLflowLogger
from keras_ext.callbacks.training_doctor import (
    TrainingDoctor as TrainingDoctor,
    TrainingProblem as TrainingProblem,
)
from keras_ext.callbacks.update_ratio_logger import (
    UpdateRatioLogger as UpdateRatioLogger,
)
