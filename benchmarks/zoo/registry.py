"""The models of the zoo, by source."""

import dataclasses
import hashlib
import importlib
import pathlib
import types
from collections.abc import Callable
from typing import Any

import keras


@dataclasses.dataclass
class Case:
    """A compiled model, its data, and how it trains.

    Attributes:
        model: The model, compiled and built.
        x: Inputs, or a `PyDataset` that yields batches with targets.
        y: Targets, or `None` if the model's own step needs none.
        batch_size: Rows of a batch.
        epochs: Epochs of the training.
        train: Trains the model in place of `fit`. It receives the case, the
            callbacks, and the number of steps or `None` for all.
        example: Inputs of `call`, if a batch of `x` is none.
        unmonitored: Why monitors measure nothing, or an empty string.
    """

    model: Any
    x: Any
    y: Any = None
    batch_size: int = 8
    epochs: int = 2
    train: Callable[["Case", list[Any], int | None], Any] | None = None
    example: Any = None
    unmonitored: str = ""

    @property
    def is_dataset(self) -> bool:
        """Whether `x` yields batches of inputs and targets."""
        return isinstance(self.x, keras.utils.PyDataset)

    @property
    def batch(self) -> Any:
        """Inputs to call the model with."""
        if self.example is not None:
            return self.example
        return keras.tree.map_structure(lambda a: a[: self.batch_size], self.x)


Make = Callable[[], Case]


def compiled_classifier(
    model: Any, x: Any, y: Any, optimizer: Any = None, **arguments: Any
) -> Case:
    """Compile a model that gives logits, and return it with its data."""
    model.compile(
        optimizer or keras.optimizers.AdamW(2e-3, weight_decay=1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Case(model, x, y, **arguments)


# Titles and modules, in the order of the page. A module has a table `MODELS`
# of functions without arguments, each of which returns a new `Case`.
SOURCES = {
    "From scratch: autoencoders": "autoencoders",
    "From scratch: adversarial": "gans",
    "From scratch: diffusion": "diffusion",
    "From scratch: self-supervised": "contrastive",
    "From scratch: distillation, triplets": "metric",
    "From scratch: images": "vision",
    "From scratch: pixels and points": "spatial",
    "From scratch: text and speech": "text",
    "From scratch: tables and graphs": "structured",
    "From scratch: games": "games",
    "keras.applications": "applications",
    "KerasHub: text": "hub_text",
    "KerasHub: images": "hub_images",
    "KerasHub: sound, images with text, diffusion": "hub_mixed",
    "keras-rs": "keras_rs",
    "k3im": "k3im",
    "k3-node": "k3_node",
    "Other packages": "community",
}


def module_of(source: str) -> types.ModuleType:
    """Import the module of a source, which registers its classes."""
    return importlib.import_module(f"benchmarks.zoo.{SOURCES[source]}")


def all_models() -> dict[str, str]:
    """Map the name of each model to its source."""
    return {
        name: source for source in SOURCES for name in module_of(source).MODELS
    }


def make(name: str, source: str) -> Case:
    """Make a model and its data."""
    return module_of(source).MODELS[name]()


def folder_of(name: str, folder: pathlib.Path | str) -> pathlib.Path:
    """Return the folder of a model's files, inside a folder."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return pathlib.Path(folder, digest[:12])
