"""Optimizers that replace those of the same name in `keras.optimizers`.

Each optimizer's file has its formula, in `keras.ops`. `_tensorflow.py` and
`_torch.py` (with `_torch_groups.py`) compute the same with the backend's own
kernels. `_plain.py` is the interface of these files; `_backend.py` chooses.
JAX needs no kernels: XLA fuses the formula.
"""

from keras_ext import _builtins
from keras_ext.optimizers.adagrad import Adagrad as Adagrad
from keras_ext.optimizers.adam import Adam as Adam
from keras_ext.optimizers.adamw import AdamW as AdamW
from keras_ext.optimizers.rmsprop import RMSprop as RMSprop
from keras_ext.optimizers.sgd import SGD as SGD

__getattr__ = _builtins.fall_back(__name__)
