"""Small backbones and tasks of KerasHub, with random weights."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.zoo.registry import Case

VOCABULARY, LENGTH, SIZE = 64, 16, 32
# Arguments that most text backbones share.
TEXT = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "hidden_dim": 16,
    "intermediate_dim": 32,
}
HEADS = {"num_heads": 2, **TEXT}
GROUPED = {"num_query_heads": 2, "num_key_value_heads": 1, **TEXT}


def models() -> Any:
    """Return the module of KerasHub's models."""
    import keras_hub

    return keras_hub.models


def backbone_of(name: str, arguments: dict[str, Any]) -> Any:
    """Return a backbone."""
    return getattr(models(), f"{name}Backbone")(**arguments)


def token_inputs(backbone: Any, ids: Any) -> dict[str, Any]:
    """Return the inputs of a text backbone that has these ids."""
    inputs = {}
    for name in backbone.input:
        if "token_ids" in name:
            inputs[name] = ids
        elif "mask" in name:
            inputs[name] = np.ones_like(ids)
        else:
            inputs[name] = np.zeros_like(ids)
    return inputs


def compiled(task: Any, optimizer: Any = None, **arguments: Any) -> Any:
    """Compile a model for labels and return it."""
    task.compile(
        optimizer=optimizer or keras.optimizers.AdamW(2e-3, weight_decay=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **arguments,
    )
    return task


def with_head(
    name: str,
    arguments: dict[str, Any],
    inputs: Callable[[Any], Any],
    choose: Callable[[Any], Any] = lambda outputs: outputs,
) -> Case:
    """Return a backbone with an average and a dense layer."""
    backbone = backbone_of(name, arguments)
    x = choose(backbone.output)
    while len(x.shape) > 2:
        x = keras.ops.mean(x, axis=1)
    model = keras.Model(backbone.input, keras.layers.Dense(2, name="head")(x))
    rows, y = inputs(backbone)
    compiled(model, keras.optimizers.Adam(2e-3), metrics=["accuracy"])
    return Case(model, rows, y, epochs=2)


def sequence(outputs: Any) -> Any:
    """Return the part of a backbone's outputs that has a place each."""
    if isinstance(outputs, dict):
        return outputs["sequence_output"]
    return outputs
