"""What the losses share about their configs."""

from typing import Any

import keras


def dtype_config(dtype: Any) -> Any:
    """Returns the `dtype` a loss was made with, as its config holds it.

    Keras leaves it out, so a saved loss comes back with the default.
    """
    if dtype is None:
        return None
    return keras.dtype_policies.serialize(keras.dtype_policies.get(dtype))
