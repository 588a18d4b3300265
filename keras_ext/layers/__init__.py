"""Layers that replace those of the same name in `keras.layers`."""

from keras_ext import _builtins
from keras_ext.layers.activation_layers import SELU as SELU
from keras_ext.layers.activation_layers import Linear as Linear
from keras_ext.layers.activation_layers import Sigmoid as Sigmoid
from keras_ext.layers.activation_layers import Step as Step
from keras_ext.layers.activation_layers import Swish as Swish
from keras_ext.layers.activation_layers import Tanh as Tanh
from keras_ext.layers.batch_normalization import (
    BatchNormalization as BatchNormalization,
)
from keras_ext.layers.dense import Dense as Dense
from keras_ext.layers.dropout import Dropout as Dropout
from keras_ext.layers.min_max_scaling import MinMaxScaling as MinMaxScaling
from keras_ext.layers.perceptron import Perceptron as Perceptron
from keras_ext.layers.rectifiers import ELU as ELU
from keras_ext.layers.rectifiers import LeakyReLU as LeakyReLU
from keras_ext.layers.rectifiers import ReLU as ReLU
from keras_ext.layers.residual import Residual as Residual
from keras_ext.layers.softmax import Softmax as Softmax
from keras_ext.layers.standardization import Standardization as Standardization

__getattr__ = _builtins.fall_back(__name__)
