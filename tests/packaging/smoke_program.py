"""Trains with the monitors and the doctor of an installed wheel.

    python smoke_program.py CHECKOUT

Run in an empty directory, where it leaves `model.keras` and `data.npz`.
"""

import pathlib
import sys

import keras
import numpy as np

import keras_ext

checkout = pathlib.Path(sys.argv[1]).resolve()
package = pathlib.Path(keras_ext.__file__).resolve()
assert checkout not in package.parents, f"not the wheel: {package}"

keras.utils.set_random_seed(1)
rng = np.random.default_rng(0)
x = rng.normal(size=(320, 6)).astype("float32")
y = (x[:, 0] > 1).astype("int32")
model = keras.Sequential(
    [
        keras.Input((6,)),
        keras_ext.layers.Dense(
            8, "relu", kernel_initializer="zeros", name="hidden"
        ),
        keras_ext.layers.Dense(2, "softmax", name="out"),
    ]
)
model.compile(
    keras_ext.optimizers.Adam(0.01),
    keras_ext.losses.SparseCategoricalCrossentropy(),
)
norms = keras_ext.callbacks.GradientNormLogger(vanishing=None)
dead = keras_ext.callbacks.DeadReLULogger(mostly_dead=None)
doctor = keras_ext.callbacks.TrainingDoctor(on_finding=lambda finding: None)
model.fit(x, y, epochs=2, callbacks=[norms, dead, doctor], verbose=0)

assert norms.epochs["grad_norm/out"].shape == (2,)
assert (norms.epochs["grad_norm/out"] > 0).all()
assert (norms.epochs["grad_norm/hidden"] == 0).all()
assert (dead.epochs["dead_relu/hidden"] == 1).all()
assert doctor.findings[0].problem == "symmetric_units", doctor.findings

model.save("model.keras")
np.savez("data.npz", x=x, y=y)
print(f"{keras.config.backend()}: keras_ext {keras_ext.__version__} trains")
