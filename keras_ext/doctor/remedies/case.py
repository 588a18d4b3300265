"""What is known of a case, and lines of code that fit it."""

from dataclasses import dataclass

from keras_ext.doctor.run_history import BatchFacts, Facts, LayerFacts

SATURATING = ("sigmoid", "tanh", "hard_sigmoid", "hard_tanh", "softsign")
RECURRENT = ("SimpleRNN", "LSTM", "GRU")

# Layers whose first argument is the number of units. Convolutions take the
# size of their kernel next, which is not known here.
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
_ADAPTIVE = ("Adagrad", "RMSprop", "Adam", "AdamW", "Nadam", "Adamax", "Lion")

HE = "keras_ext.initializers.HeNormal()"
XAVIER = "keras_ext.initializers.GlorotUniform()"
LECUN = "keras_ext.initializers.LecunNormal()"


@dataclass(frozen=True)
class Case:
    """The surroundings of a problem; each part may be unknown.

    Attributes:
        facts: What is known of the model.
        path: Path of the layer at fault.
        batch: What a batch of data looks like.
        rate_times: Factor for the learning rate.
    """

    facts: Facts | None = None
    path: str | None = None
    batch: BatchFacts | None = None
    rate_times: float | None = None

    @property
    def all_layers(self) -> tuple[LayerFacts, ...]:
        """All layers of the model that are known."""
        return self.facts.layers if self.facts else ()

    @property
    def layers(self) -> tuple[LayerFacts, ...]:
        """The layer at fault, or all if the whole model is at fault."""
        return tuple(x for x in self.all_layers if self.path in (None, x.path))

    @property
    def layer(self) -> LayerFacts | None:
        """The layer at fault, or `None`."""
        if self.path is None or len(self.layers) != 1:
            return None
        return self.layers[0]

    @property
    def activations(self) -> set[str]:
        """Known activations of the layers at fault."""
        return {x.activation for x in self.layers if x.activation is not None}

    def may_have(self, *kinds: str) -> bool:
        """Return whether a layer at fault may be of a kind.

        The cell of a recurrent layer counts as the layer.
        """
        if not self.layers:
            return True
        return any(_plain_kind(x.kind) in kinds for x in self.layers)

    def has(self, *kinds: str) -> bool:
        """Return whether the model certainly has a layer of a kind."""
        return any(_plain_kind(x.kind) in kinds for x in self.all_layers)

    @property
    def is_recurrent(self) -> bool:
        """Whether the layers at fault are certainly recurrent."""
        return bool(self.layers) and self.may_have(*RECURRENT)

    @property
    def is_hidden(self) -> bool:
        """Whether the layer at fault is certainly not an output."""
        if self.layer is None or self.facts is None:
            return False
        names = {output.name for output in self.facts.outputs}
        last = self.all_layers[-1] is self.layer
        return not last and self.layer.path.split("/")[-1] not in names

    def initializer(self) -> str:
        """Return the code of the initializer for the activations."""
        if "selu" in self.activations:
            return LECUN
        linear = {*SATURATING, "softmax", "linear"}
        if self.is_recurrent or self.activations & linear:
            return XAVIER
        return HE

    def code(self, arguments: str = "", times: float = 1) -> str:
        """Return the code of the layer at fault with other arguments.

        Args:
            arguments: Code of the arguments that change.
            times: Factor for the number of units.
        """
        layer = self.layer or next(
            (x for x in self.layers if x.fan_in and x.units), None
        )
        kind = _plain_kind(layer.kind) if layer else "Dense"
        if kind not in _WITH_UNITS + _WITH_KERNELS:
            kind = "Dense"
        known = layer.units if layer and layer.units else 64
        parts = [str(max(1, round(known * times)))]
        if kind in _WITH_KERNELS:
            parts.append("...")
        # keras_ext has no recurrent and convolutional layers.
        package = "keras_ext" if kind == "Dense" else "keras"
        if kind.startswith("Separable"):
            arguments = arguments.replace("kernel_", "pointwise_")
        if arguments:
            parts.append(arguments)
        return f"{package}.layers.{kind}({', '.join(parts)})"

    @property
    def is_in_a_call(self) -> bool:
        """Whether an operation in a custom `call` is at fault."""
        if self.path is None or self.facts is None:
            return False
        return not self.facts.knows(self.path)

    def optimizer(
        self, times: float = 1, arguments: str = "", name: str | None = None
    ) -> str:
        """Return the code of the changed optimizer.

        Args:
            times: Factor for its learning rate.
            arguments: Code of further arguments.
            name: Its class. Defaults to `None`: the model's own.
        """
        own = self.facts.optimizer if self.facts else None
        rate = self.facts.learning_rate if self.facts else None
        changed = f"{self.known_rate * times:.3g}"
        known = ("SGD", *_ADAPTIVE)
        if own not in known and rate and not (arguments or name):
            # A custom optimizer stays.
            return f"model.optimizer.learning_rate = {changed}"
        if name is None:
            name = own if own in known else "Adam"
        parts = []
        if times != 1 or (name == own and rate is not None):
            parts.append(f"learning_rate={changed}")
        if arguments:
            parts.append(arguments)
        return f"keras_ext.optimizers.{name}({', '.join(parts)})"

    @property
    def adapts(self) -> bool:
        """Whether the optimizer has a step size for each weight."""
        return self.facts is not None and self.facts.optimizer in _ADAPTIVE

    @property
    def known_rate(self) -> float:
        """The learning rate, or 0.001."""
        return (self.facts.learning_rate if self.facts else None) or 0.001


def _plain_kind(kind: str) -> str:
    return kind.removesuffix("Cell")
