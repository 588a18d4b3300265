"""Graph networks of k3-node, on one graph a batch."""

import functools
from typing import Any

import keras
import numpy as np

from benchmarks.zoo.registry import Case, Make, compiled_classifier

NODES, WIDTH, CLASSES = 40, 8, 3


def _graph(seed: int = 0) -> tuple[Any, Any, Any]:
    """Return nodes of three classes, and links within the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, NODES)
    x = rng.normal(0, 0.5, (NODES, WIDTH))
    x[np.arange(NODES), y] += 1
    chance = np.where(y[:, None] == y, 0.4, 0.05)
    links = np.stack(np.nonzero(rng.random((NODES, NODES)) < chance))
    return x.astype("float32"), links.astype("int64"), y


class OneGraph(keras.utils.PyDataset):
    """Yields the same graph again and again."""

    def __init__(self, inputs: Any, y: Any, steps: int = 10):
        super().__init__()
        self.inputs, self.y, self.steps = inputs, y, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Any:
        return tuple(self.inputs), self.y


@keras.saving.register_keras_serializable("zoo")
class Labels(keras.Model):
    """A graph network and a layer that labels the nodes.

    Args:
        kind: The name of a layer or model of k3-node.
        arguments: Its arguments.
    """

    def __init__(self, kind: str, arguments: dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        from k3_node import layers, models

        self.kind, self.arguments = kind, arguments
        source = models if hasattr(models, kind) else layers
        self.network = getattr(source, kind)(**arguments)
        self.head = keras.layers.Dense(CLASSES)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the logits of each node."""
        x, links = inputs
        return self.head(keras.ops.elu(self.network(x, links)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"kind": self.kind, "arguments": dict(self.arguments)}
        return super().get_config() | own


def labels(kind: str, arguments: dict[str, Any]) -> Case:
    """Return a network that labels the nodes of a graph."""
    x, links, y = _graph()
    model = Labels(kind, arguments)
    model([x, links])
    return compiled_classifier(
        model,
        OneGraph([x, links], y),
        None,
        keras.optimizers.Adam(1e-2),
        example=[x, links],
    )


_CONV: dict[str, Any] = {"in_channels": WIDTH, "out_channels": 16}
_NET: dict[str, Any] = {
    "in_channels": WIDTH,
    "hidden_channels": 16,
    "out_channels": 16,
}
_TABLE: dict[str, dict[str, Any]] = {
    "GCN": _NET | {"num_layers": 2},
    "GAT": _NET | {"num_layers": 2, "dropout": 0.1},
    "GraphSAGE": _NET | {"num_layers": 2},
    "GIN": _NET | {"num_layers": 2},
    "EdgeCNN": _NET | {"num_layers": 2},
    "PMLP": _NET | {"num_layers": 2},
    "SGFormer": _NET | {"trans_num_layers": 1, "gnn_num_layers": 1},
    "GATv2Conv": _CONV | {"heads": 2},
    "ChebConv": _CONV | {"K": 2},
    "TransformerConv": _CONV | {"heads": 2},
}

MODELS: dict[str, Make] = {
    f"k3-node {kind}": functools.partial(labels, kind, arguments)
    for kind, arguments in _TABLE.items()
}
