"""Losses that replace those of the same name in `keras.losses`."""

from keras_ext import _builtins
from keras_ext.losses.binary_crossentropy import (
    BinaryCrossentropy as BinaryCrossentropy,
)
from keras_ext.losses.binary_crossentropy import (
    binary_crossentropy as binary_crossentropy,
)
from keras_ext.losses.binary_focal_crossentropy import (
    BinaryFocalCrossentropy as BinaryFocalCrossentropy,
)
from keras_ext.losses.binary_focal_crossentropy import (
    binary_focal_crossentropy as binary_focal_crossentropy,
)
from keras_ext.losses.categorical_crossentropy import (
    CategoricalCrossentropy as CategoricalCrossentropy,
)
from keras_ext.losses.categorical_crossentropy import (
    categorical_crossentropy as categorical_crossentropy,
)
from keras_ext.losses.categorical_focal_crossentropy import (
    CategoricalFocalCrossentropy as CategoricalFocalCrossentropy,
)
from keras_ext.losses.categorical_focal_crossentropy import (
    categorical_focal_crossentropy as categorical_focal_crossentropy,
)
from keras_ext.losses.huber import Huber as Huber
from keras_ext.losses.huber import huber as huber
from keras_ext.losses.kl_divergence import KLDivergence as KLDivergence
from keras_ext.losses.kl_divergence import kl_divergence as kl_divergence
from keras_ext.losses.margin import Exponential as Exponential
from keras_ext.losses.margin import Hinge as Hinge
from keras_ext.losses.margin import exponential as exponential
from keras_ext.losses.margin import hinge as hinge
from keras_ext.losses.multi_label_crossentropy import (
    MultiLabelCrossentropy as MultiLabelCrossentropy,
)
from keras_ext.losses.multi_label_crossentropy import (
    multi_label_crossentropy as multi_label_crossentropy,
)
from keras_ext.losses.quantile import Quantile as Quantile
from keras_ext.losses.quantile import quantile as quantile
from keras_ext.losses.regression import LogCosh as LogCosh
from keras_ext.losses.regression import MeanAbsoluteError as MeanAbsoluteError
from keras_ext.losses.regression import (
    MeanAbsolutePercentageError as MeanAbsolutePercentageError,
)
from keras_ext.losses.regression import MeanSquaredError as MeanSquaredError
from keras_ext.losses.regression import log_cosh as log_cosh
from keras_ext.losses.regression import (
    mean_absolute_error as mean_absolute_error,
)
from keras_ext.losses.regression import (
    mean_absolute_percentage_error as mean_absolute_percentage_error,
)
from keras_ext.losses.regression import mean_squared_error as mean_squared_error
from keras_ext.losses.sparse_categorical_crossentropy import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from keras_ext.losses.sparse_categorical_crossentropy import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)

__getattr__ = _builtins.fall_back(__name__)
