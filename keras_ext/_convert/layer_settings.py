"""Settings of a layer that its config does not hold."""

from typing import Any

import keras

# Attributes that anyone may set.
_FLAGS = ("supports_masking", "supports_jit", "autocast")


def copy_settings(old: Any, new: Any) -> None:
    """Copy flags, LoRA and the dtype policy; build what is built.

    Args:
        old: A layer.
        new: Its twin, whose variables are not paired yet.

    Raises:
        ValueError: If the twin cannot have them.
    """
    for name in _FLAGS:
        value = getattr(old, name, None)
        if value != getattr(new, name, None):
            setattr(new, name, value)
    if isinstance(old, keras.Sequential) and old.built and not new.built:
        # Made in a constructor, and called by a train step only.
        new.build(old.input_shape)
    if getattr(old, "lora_enabled", False) and not new.lora_enabled:
        # Keras saves the kernel with the product of the factors added.
        new.enable_lora(old.lora_rank, lora_alpha=old.lora_alpha)
    elif getattr(old, "lora_alpha", None) is not None:
        # A built layer takes the rank for it.
        new.lora_alpha = old.lora_alpha
    if _has_map(new) and not _has_map(old):
        # Saving a layer with such a map spoils the policies in it.
        new._dtype_policy = old.dtype_policy
    if _dtypes(old) != _dtypes(new):
        # For example a whole model's, which decides on loss scaling.
        new.dtype_policy = old.dtype_policy


def _has_map(layer: Any) -> bool:
    return isinstance(layer.dtype_policy, keras.dtype_policies.DTypePolicyMap)


def _dtypes(layer: Any) -> Any:
    """Return what can be compared of a layer's dtype policy."""
    return (
        *(layer.variable_dtype, layer.compute_dtype, layer.quantization_mode),
        type(layer.dtype_policy),
    )
