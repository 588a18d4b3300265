"""What a type checker is to find, line by line, against the wheel."""

import keras_ext
from keras_ext.callbacks import GradientNormLogger, TrainingDoctor
from keras_ext.tuners import RandomSearch

GradientNormLogger(every_n_steps="ten")  # error: arg-type
GradientNormLogger(layer=["hidden"])  # error: call-arg
TrainingDoctor(on_finding=3)  # error: arg-type
print(TrainingDoctor().findings[0].problems)  # error: attr-defined
RandomSearch(stop_unhealthy="yes")  # error: arg-type
keras_ext.layers.Dropout("half")  # error: arg-type
keras_ext.losses.Huber(delta=None)  # error: arg-type
keras_ext.optimizers.Adam(epsilon_hat="no")  # error: arg-type
keras_ext.callbacks.TrainingDoctor(on_finding=3)  # error: arg-type
keras_ext.losses.huber([0.0], [1.0], delta="one")  # error: arg-type
keras_ext.activations.leaky_relu([0.0], slope=0.1)  # error: call-arg
