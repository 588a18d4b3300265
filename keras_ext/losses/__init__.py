"""Losses that take the place of those of the same name in `keras.losses`."""

from keras_ext.losses.huber import Huber as Huber
from keras_ext.losses.huber import huber as huber
