"""Optimizers that take the place of those in `keras.optimizers`.

Each optimizer's file holds its formula, in `keras.ops`. `_tensorflow.py` and
`_torch.py` compute the same with the backend's own kernels, `_plain.py` says
what such a file offers, and `_backend.py` chooses. JAX needs no kernels: XLA
fuses the formula.
"""

from keras_ext.optimizers.adam import Adam as Adam
