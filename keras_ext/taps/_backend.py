"""What measures on the running backend.

Each of `tensorflow.py`, `jax.py` and `torch.py` has

- `kernels`: the arithmetic, see `tensorflow_kernels.py`;
- `batch_kernels`: that of the batches of data, see `batch_kernels.py`;
- `StepCapture`: a `keras_ext.taps.capture.StepCapture`, what one step shows;
- `Store`: keeps the rows of a gauge on the device;
- `TrainFunctions`: train functions of a model in which gauges write;
- `why_not(model)`: why a model cannot be measured, or `None`.
"""

import importlib

import keras

_module = importlib.import_module(f"keras_ext.taps.{keras.config.backend()}")

batch_kernels = _module.batch_kernels
kernels = _module.kernels
StepCapture = _module.StepCapture
Store = _module.Store
TrainFunctions = _module.TrainFunctions
why_not = _module.why_not
