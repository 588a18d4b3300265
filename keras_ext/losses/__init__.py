"""Losses that replace those of the same name in `keras.losses`."""

from keras_ext import _builtins
from keras_ext.losses.binary_crossentropy import (
    BinaryCrossentropy as BinaryCrossentropy,
    binary_crossentropy as binary_crossentropy,
)
from keras_ext.losses.binary_focal_crossentropy import (
    BinaryFocalCrossentropy as BinaryFocalCrossentropy,
    binary_focal_crossentropy as binary_focal_crossentropy,
)
from keras_ext.losses.categorical_crossentropy import (
    CategoricalCrossentropy as CategoricalCrossentropy,
    categorical_crossentropy as categorical_crossentropy,
)
from keras_ext.losses.categorical_focal_crossentropy import (
    CategoricalFocalCrossentropy as CategoricalFocalCrossentropy,
    categorical_focal_crossentropy as categorical_focal_crossentropy,
)
from keras_ext.losses.huber import Huber as Huber, huber as huber
from keras_ext.losses.kl_divergence import (
    KLDivergence as KLDivergence,
    kl_divergence as kl_divergence,
)
from keras_ext.losses.margin import (
    Exponential as Exponential,
    Hinge as Hinge,
    exponential as exponential,
    hinge as hinge,
)
from keras_ext.losses.multi_label_crossentropy import (
    MultiLabelCrossentropy as MultiLabelCrossentropy,
    multi_label_crossentropy as multi_label_crossentropy,
)
from keras_ext.losses.quantile import Quantile as Quantile, quantile as quantile
from keras_ext.losses.regression import (
    LogCosh as LogCosh,
    MeanAbsoluteError as MeanAbsoluteError,
    MeanAbsolutePercentageError as MeanAbsolutePercentageError,
    MeanSquaredError as MeanSquaredError,
    log_cosh as log_cosh,
    mean_absolute_error as mean_absolute_error,
    mean_absolute_percentage_error as mean_absolute_percentage_error,
    mean_squared_error as mean_squared_error,
)
from keras_ext.losses.sparse_categorical_crossentropy import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)

__getattr__ = _builtins.fall_back(__name__)
