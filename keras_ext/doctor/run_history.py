"""What the rules look at: plain numbers, without Keras."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Series = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LayerFacts:
    """What is known of a layer before training.

    Attributes:
        path: Its path in the model, as the monitors log it.
        kind: The name of its class.
        activation: The name of its activation function; `None` for no
            activation and for custom ones.
        units: Size of its output's unit axis.
        fan_in: Inputs of one unit.
        weight_std: Standard deviation of the kernel's initial entries.
        weight_mean: Their mean.
        recurrent_gain: Standard deviation of a recurrent kernel's initial
            entries, times the square root of the units; usually about 1.
        bias_size: Mean absolute value of the initial biases.
        identical_units: Whether all units start with the same weights.
        trainable: Whether any of its weights is trained.
        is_random: Whether it is frozen with the kernel that its initializer
            drew.
        feeds: Classes of the layers and operations that take its output.
            Activations, normalizations and layers without weights are passed
            over if they have one input. `"output"` is the model's output,
            `"?"` is unknown. `None` if nothing is known.
        is_entry: Whether it belongs to a first trained layer after an input
            of the model. No layer of a subclassed model does.
        is_normalized: Whether a normalization takes its output.
        dropout: The drop rate of a dropout layer, or of a layer's inputs.
        penalty: The largest factor of its L1 and L2 regularizers.
        penalty_loss: What regularizers of its initial weights add to the loss.
    """

    path: str
    kind: str
    activation: str | None = None
    units: int | None = None
    fan_in: int | None = None
    weight_std: float | None = None
    weight_mean: float = 0.0
    recurrent_gain: float | None = None
    bias_size: float = 0.0
    identical_units: bool = False
    trainable: bool = True
    is_random: bool = False
    feeds: tuple[str, ...] | None = None
    is_entry: bool = False
    is_normalized: bool = False
    dropout: float = 0.0
    penalty: float = 0.0
    penalty_loss: float = 0.0


@dataclass(frozen=True)
class OutputFacts:
    """What is known of an output of the model.

    Attributes:
        name: The output's name.
        activation: Its activation; `None` for linear and unknown outputs.
        units: Its last axis.
        loss: The name of Keras's loss function, such as
            `"mean_squared_error"`; `None` for no loss, and for custom ones
            that equal none of Keras's.
        from_logits: Whether the loss takes logits.
        known: Whether `activation` is certain.
        ignore_class: The label that the loss ignores, or `None`.
    """

    name: str
    activation: str | None
    units: int | None
    loss: str | None
    from_logits: bool = False
    known: bool = True
    ignore_class: int | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a model before training.

    Attributes:
        layers: The layers with weights or activations, in the order of calls.
        outputs: The outputs of the model.
        optimizer: The name of the optimizer's class.
        learning_rate: The initial one; `None` with several optimizers.
        clips: Whether the optimizer clips gradients.
        parameters: Number of trainable weights.
        normalizes_input: Whether the first layer scales the model's input.
        own_train_step: Whether the model has a custom train step.
        updates: Number of updates before the weights were read; not 0 if the
            first step built the model.
    """

    layers: tuple[LayerFacts, ...] = ()
    outputs: tuple[OutputFacts, ...] = ()
    optimizer: str | None = None
    learning_rate: float | None = None
    clips: bool = False
    parameters: int = 0
    normalizes_input: bool = False
    own_train_step: bool = False
    updates: int = 0

    def knows(self, path: str) -> bool:
        """Return whether a path is that of a layer, or lies within one."""
        return any(f"{path}/".startswith(f"{x.path}/") for x in self.layers)


@dataclass(frozen=True)
class BatchFacts:
    """What a batch of data looks like.

    Attributes:
        x_low, x_high: Lowest and highest finite entry of the inputs.
        x_mean, x_std: Mean and standard deviation of the finite entries.
        feature_scales: Root mean square of each feature, that is each entry
            of the last axis; empty for integer inputs.
        x_nonfinite: Share of inputs that are NaN or infinite.
        y_low, y_high, y_mean, y_std: The same of the targets.
        y_unit_std: Standard deviation of the targets over the samples, as
            root mean square over the units; NaN if unknown.
        y_nonfinite: Share of targets that are NaN or infinite.
        y_whole: Whether all targets are whole numbers.
        class_shares: Share of each class among the targets, under a loss of
            classes.
        size: Number of samples.
        y_units: Last axis of the targets, 1 for one number per sample;
            `None` if unknown.
    """

    x_low: float = 0.0
    x_high: float = 1.0
    x_mean: float = 0.0
    x_std: float = 1.0
    feature_scales: np.ndarray = field(default_factory=lambda: np.ones(0))
    x_nonfinite: float = 0.0
    y_low: float = 0.0
    y_high: float = 1.0
    y_mean: float = 0.0
    y_std: float = 1.0
    y_unit_std: float = float("nan")
    y_nonfinite: float = 0.0
    y_whole: bool = False
    class_shares: np.ndarray = field(default_factory=lambda: np.ones(0))
    size: int = 0
    y_units: int | None = None


@dataclass(frozen=True)
class RunHistory:
    """What was measured in a training run up to now.

    Attributes:
        facts: What is known of the model.
        batch: What the first batch of data looks like, or `None`.
        logs: Keras's logs, one value per epoch under each key.
        steps: Index of each sampled step, counted from 0 at the start of
            `fit`.
        series: The monitors' values, one per sampled step:
            `grad_norm/<layer>`, `grad_norm/global`, `update_ratio/<layer>`,
            `dead_relu/<layer>`, `zero_fraction/<layer>`,
            `saturation/<layer>`, `activation_mean/<layer>`,
            `activation_std/<layer>`, and `loss`, the mean loss since the
            sampled step before. Keys may be missing, values may be NaN.
        epochs: The monitors' values per epoch, under the same keys.
        steps_per_epoch: Steps of the last epoch.
        planned_epochs: The `epochs` of `fit`.
        finished: Whether training is over.
    """

    facts: Facts
    batch: BatchFacts | None = None
    logs: Series = field(default_factory=dict)
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    series: Series = field(default_factory=dict)
    epochs: Series = field(default_factory=dict)
    steps_per_epoch: int = 0
    planned_epochs: int | None = None
    finished: bool = False

    def of_kind(self, kind: str) -> dict[str, np.ndarray]:
        """Return the series of a kind such as `grad_norm/`, by layer.

        The layers are in the model's order, without `global`.
        """
        found = {
            key.removeprefix(kind): values
            for key, values in self.series.items()
            if key.startswith(kind) and key != f"{kind}global"
        }
        order = {layer.path: i for i, layer in enumerate(self.facts.layers)}
        return dict(
            sorted(found.items(), key=lambda kv: order.get(kv[0], len(order)))
        )

    @property
    def epoch(self) -> int | None:
        """The last finished epoch, counted from 0, or `None`."""
        epochs = max(map(len, self.logs.values()), default=0)
        return epochs - 1 if epochs else None
