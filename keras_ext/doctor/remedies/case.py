"""What is known of a case, and lines of code that fit it."""

from dataclasses import dataclass

from keras_ext.doctor.run_history import BatchFacts, Facts, LayerFacts

SATURATING = ("sigmoid", "tanh", "hard_sigmoid", "hard_tanh", "softsign")
RECURRENT = ("SimpleRNN", "LSTM", "GRU")

# Layers whose first argument is the number of units; convolutions take the
# size of their kernel next, which nobody told us.
_WITH_UNITS = ("Dense", "SimpleRNN", "LSTM", "GRU")
_WITH_KERNELS = (
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "SeparableConv1D",
    "SeparableConv2D",
)
_ACTIVATION_LAYERS = ("Activation", "ReLU")
_ADAPTIVE = ("Adagrad", "RMSprop", "Adam", "AdamW", "Nadam", "Adamax", "Lion")

HE = "keras_ext.initializers.HeNormal()"
XAVIER = "keras_ext.initializers.GlorotUniform()"
LECUN = "keras_ext.initializers.LecunNormal()"


@dataclass(frozen=True)
class Case:
    """A problem's surroundings, each of which may be unknown.

    Attributes:
        facts: What is known of the model.
        path: Path of the layer at fault.
        batch: What a batch of data looks like.
        rate_times: What the learning rate is to be multiplied by.
    """

    facts: Facts | None = None
    path: str | None = None
    batch: BatchFacts | None = None
    rate_times: float | None = None

    @property
    def layers(self) -> tuple[LayerFacts, ...]:
        """The layer at fault, or all if it is the whole model."""
        layers = self.facts.layers if self.facts else ()
        return tuple(x for x in layers if self.path in (None, x.path))

    @property
    def layer(self) -> LayerFacts | None:
        """The layer at fault, or `None`."""
        if self.path is None or len(self.layers) != 1:
            return None
        return self.layers[0]

    @property
    def activations(self) -> set[str]:
        """Activations of the layers at fault; empty if nobody knows them."""
        return {x.activation for x in self.layers if x.activation is not None}

    def may_have(self, *kinds: str) -> bool:
        """Return whether a layer at fault is of a kind, or may be.

        The cell of a recurrent layer counts as the layer.
        """
        if not self.layers:
            return True
        return any(_plain_kind(x.kind) in kinds for x in self.layers)

    def has(self, *kinds: str) -> bool:
        """Return whether the model has a layer of a kind for certain."""
        layers = self.facts.layers if self.facts else ()
        return any(_plain_kind(x.kind) in kinds for x in layers)

    @property
    def is_recurrent(self) -> bool:
        """Whether the layers at fault are recurrent for certain."""
        return bool(self.layers) and self.may_have(*RECURRENT)

    @property
    def is_hidden(self) -> bool:
        """Whether the layer at fault is not an output, for certain."""
        if self.layer is None or self.facts is None:
            return False
        names = {output.name for output in self.facts.outputs}
        last = self.facts.layers[-1] is self.layer
        return not last and self.layer.path.split("/")[-1] not in names

    @property
    def depth(self) -> int | None:
        """Number of layers with weights, `None` if nobody knows it."""
        if not self.facts or not self.facts.layers:
            return None
        return sum(x.fan_in is not None for x in self.facts.layers)

    @property
    def adapts(self) -> bool:
        """Whether the optimizer has a step size for each weight."""
        return self.facts is not None and self.facts.optimizer in _ADAPTIVE

    def initializer(self, activation: str | None = None) -> str:
        """Return the code of the initializer for an activation."""
        kinds = {activation} if activation else self.activations
        if "selu" in kinds:
            return LECUN
        if self.is_recurrent or kinds & {*SATURATING, "softmax", "linear"}:
            return XAVIER
        return HE

    def code(
        self, arguments: str = "", units: int | None = None, times: float = 1
    ) -> str:
        """Return the code of the layer at fault with other arguments.

        Args:
            arguments: Code of the arguments that change.
            units: Number of units. Defaults to `None`: as it has.
            times: How many times as many units.
        """
        layer = self.layer or next(
            (x for x in self.layers if x.fan_in and x.units), None
        )
        kind = _plain_kind(layer.kind) if layer else "Dense"
        if kind not in _WITH_UNITS + _WITH_KERNELS:
            kind = "Dense"
        if units is None:
            known = layer.units if layer and layer.units else 64
            units = max(1, round(known * times))
        parts = [str(units)]
        if kind in _WITH_KERNELS:
            parts.append("...")
        # Those that this package has; the others are Keras's own.
        package = "keras_ext" if kind == "Dense" else "keras"
        if kind.startswith("Separable"):
            arguments = arguments.replace("kernel_", "pointwise_")
        if arguments:
            parts.append(arguments)
        return f"{package}.layers.{kind}({', '.join(parts)})"

    @property
    def is_in_a_call(self) -> bool:
        """Whether something in a person's own `call` is at fault."""
        if self.path is None or self.facts is None:
            return False
        return not self.facts.knows(self.path)

    @property
    def is_activation_layer(self) -> bool:
        """Whether the layer at fault is nothing but an activation."""
        return self.layer is not None and self.layer.kind in _ACTIVATION_LAYERS

    def optimizer(
        self, times: float = 1, arguments: str = "", name: str | None = None
    ) -> str:
        """Return the code of the optimizer, changed.

        Args:
            times: What its learning rate is multiplied by.
            arguments: Code of further arguments.
            name: Its class. Defaults to `None`: the one that the model has.
        """
        own = self.facts.optimizer if self.facts else None
        known = ("SGD", *_ADAPTIVE)
        if own not in known and self.rate and not (arguments or name):
            # A person's own optimizer stays.
            rate = number(self.rate * times)
            return f"model.optimizer.learning_rate = {rate}"
        if name is None:
            name = own if own in known else "Adam"
        parts = []
        if times != 1 or (name == own and self.rate is not None):
            parts.append(f"learning_rate={number(self.known_rate * times)}")
        if arguments:
            parts.append(arguments)
        return f"keras_ext.optimizers.{name}({', '.join(parts)})"

    @property
    def rate(self) -> float | None:
        """The learning rate, if it is known."""
        return self.facts.learning_rate if self.facts else None

    @property
    def known_rate(self) -> float:
        """The learning rate, or the usual one."""
        return self.rate or 0.001


def number(value: float) -> str:
    """Return the code of a number, in three digits."""
    return f"{value:.3g}"


def _plain_kind(kind: str) -> str:
    return kind.removesuffix("Cell")
