"""Layers that replace those of the same name in `keras.layers`."""

from keras_ext import _builtins
from keras_ext.layers.activation_layers import (
    SELU as SELU,
    Linear as Linear,
    Sigmoid as Sigmoid,
    Step as Step,
    Swish as Swish,
    Tanh as Tanh,
)
from keras_ext.layers.batch_normalization import (
    BatchNormalization as BatchNormalization,
)
from keras_ext.layers.dense import Dense as Dense
from keras_ext.layers.dropout import Dropout as Dropout
from keras_ext.layers.min_max_scaling import MinMaxScaling as MinMaxScaling
from keras_ext.layers.perceptron import Perceptron as Perceptron
from keras_ext.layers.rectifiers import (
    ELU as ELU,
    LeakyReLU as LeakyReLU,
    ReLU as ReLU,
)
from keras_ext.layers.residual import Residual as Residual
from keras_ext.layers.softmax import Softmax as Softmax
from keras_ext.layers.standardization import Standardization as Standardization

__getattr__ = _builtins.fall_back(__name__)
