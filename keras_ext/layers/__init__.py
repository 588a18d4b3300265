"""Layers that take the place of those of the same name in `keras.layers`."""

from keras_ext.layers.leaky_relu import LeakyReLU as LeakyReLU
