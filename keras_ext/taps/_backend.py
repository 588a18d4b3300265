"""The code that measures on the running backend.

`<backend>.py` has

- `Store`: keeps the rows of a gauge on the device;
- `TrainFunctions`: the train functions of a model in which gauges write;
- `unsupported_reason(model)`: why a model cannot be measured, or `None`.

`<backend>_kernels.py` has the arithmetic of the gauges, which
`tensorflow_kernels.py` documents. `batch_kernels.py` has the arithmetic of
`BatchGauge`; PyTorch runs the faster `torch_batch_kernels.py`.
"""

import importlib

import keras

_name = keras.config.backend()
_module = importlib.import_module(f"keras_ext.taps.{_name}")
_prefix = "torch_" if _name == "torch" else ""

batch_kernels = importlib.import_module(
    f"keras_ext.taps.{_prefix}batch_kernels"
)
kernels = importlib.import_module(f"keras_ext.taps.{_name}_kernels")
Store = _module.Store
TrainFunctions = _module.TrainFunctions
unsupported_reason = _module.unsupported_reason
