"""What the peers' rules look at, by one extra pass at each epoch's end."""

from typing import Any

import keras
import numpy as np

# The same numbers serve to verify that an injected fault exists.
PER_LAYER = (
    "grad_mean",
    "grad_median",
    "grad_norm",
    "grad_zeros",
    "weight_variance",
    "weight_norm",
    "update_norm",
)
PER_ACTIVATION = (
    "nonpositive",
    "silent_units",
    "inactive_units",
    "beyond_5",
    "beyond_9",
    "squashed",
)
_SQUASHING = {"tanh": 1.0, "sigmoid": 2.0}


class Probe(keras.callbacks.Callback):
    """Measures gradients, weights and activations on a batch.

    The first row is from before training, the others from the end of each
    epoch. Dropout is off.

    Args:
        x, y: The batch.

    Attributes:
        rows: For each key of `PER_LAYER` one list of numbers per epoch, one
            for each layer with a kernel: mean and median size of the
            gradient's entries, its norm, the share of its zeros, the
            kernel's variance and norm, and the norm of the change that the
            optimizer would make of this gradient. For each key of
            `PER_ACTIVATION` the same for each hidden activation: the share
            of entries that are not positive; of units whose 95th percentile
            is below 1e-5; of units that are positive for less than 1 %; of
            entries whose pre-activation is beyond ±5 and ±9.5, and of those
            within 2 % of the end of the range, of tanh and sigmoid.
            `loss`, `x_low`, `x_high` and `learning_rate`: one number each.
        kernels: Names of the layers with kernels.
        kinds: The hidden activations.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray):
        super().__init__()
        self.x, self.y = x, y
        self.rows: dict[str, list[Any]] = {}
        self.kernels: list[str] = []
        self.kinds: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Find what to look at, and look."""
        model = self.model
        if not model.optimizer.built:  # TensorFlow does so in the first step.
            model.optimizer.build(model.trainable_variables)
        places = list(_activations(model))
        self.kinds = [kind for kind, _ in places]
        self._pass = _passes(model, [output for _, output in places])
        self._measure()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the model as it is now."""
        self._measure()

    def _measure(self) -> None:
        model = self.model
        loss, gradients, outputs = self._pass(self.x, self.y)
        with np.errstate(all="ignore"):
            updates = next_updates(model.optimizer, gradients)
        row: dict[str, Any] = {key: [] for key in PER_LAYER + PER_ACTIVATION}
        self.kernels = []
        variables = model.trainable_variables
        for v, g, u in zip(variables, gradients, updates, strict=True):
            if len(v.shape) < 2 or "recurrent" in v.name:
                continue
            self.kernels.append(v.path)
            w = keras.ops.convert_to_numpy(v.value).astype("float64")
            g, u = np.asarray(g, "float64"), np.asarray(u, "float64")
            for key, value in zip(
                PER_LAYER,
                (
                    np.abs(g).mean(),
                    np.median(np.abs(g)),
                    np.sqrt(np.square(g).sum()),
                    (g == 0).mean(),
                    w.var(),
                    np.sqrt(np.square(w).sum()),
                    np.sqrt(np.square(u).sum()),
                ),
                strict=True,
            ):
                row[key].append(value)
        for kind, output in zip(self.kinds, outputs, strict=True):
            for key, value in zip(
                PER_ACTIVATION, _shares(kind, np.asarray(output)), strict=True
            ):
                row[key].append(value)
        row["loss"] = float(loss)
        row["x_low"], row["x_high"] = float(self.x.min()), float(self.x.max())
        row["learning_rate"] = float(model.optimizer.learning_rate)
        for key, value in row.items():
            self.rows.setdefault(key, []).append(value)


def next_updates(optimizer: Any, gradients: list[Any]) -> list[np.ndarray]:
    """Return the changes that an optimizer would make of gradients.

    Args:
        optimizer: A `keras.optimizers.SGD`, `RMSprop` without momentum,
            `Adam`, or `AdamW`, whose weight decay is left out; it is not
            changed.
        gradients: One for each trainable variable.
    """
    held: dict[str, list[np.ndarray]] = {"momentum": [], "velocity": []}
    for v in optimizer.variables:
        kind = v.name.rsplit("_", 1)[-1]
        if kind in held:
            value = keras.ops.convert_to_numpy(v.value)
            held[kind].append(value.astype("float64"))
    rate = float(optimizer.learning_rate)
    t = int(optimizer.iterations) + 1
    updates = []
    for i, g in enumerate(gradients):
        g = np.asarray(g, "float64")
        if optimizer.clipnorm:
            norm = np.sqrt(np.square(g).sum())
            g = g * optimizer.clipnorm / max(norm, optimizer.clipnorm)
        name = type(optimizer).__name__
        if name in ("Adam", "AdamW"):
            b1, b2 = optimizer.beta_1, optimizer.beta_2
            m = b1 * held["momentum"][i] + (1 - b1) * g
            s = b2 * held["velocity"][i] + (1 - b2) * g**2
            size = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
            updates.append(-size * m / (np.sqrt(s) + optimizer.epsilon))
        elif name == "RMSprop":
            rho = optimizer.rho
            s = rho * held["velocity"][i] + (1 - rho) * g**2
            updates.append(-rate * g / np.sqrt(s + optimizer.epsilon))
        elif optimizer.momentum:
            updates.append(optimizer.momentum * held["momentum"][i] - rate * g)
        else:
            updates.append(-rate * g)
    return updates


def _shares(kind: str, output: np.ndarray) -> tuple[float, ...]:
    by_unit = output.reshape(-1, output.shape[-1])
    scale = _SQUASHING.get(kind)
    beyond = [0.0, 0.0, 0.0]
    if scale:
        # On one scale: sigmoid(z) = (tanh(z/2) + 1) / 2.
        size = np.abs(by_unit if kind == "tanh" else 2 * by_unit - 1)
        ends = (np.tanh(5 / scale), np.tanh(9.5 / scale), 0.96)
        beyond = [float((size >= np.float32(end)).mean()) for end in ends]
    with np.errstate(invalid="ignore"):
        return (
            float((by_unit <= 0).mean()),
            float((np.percentile(by_unit, 95, axis=0) < 1e-5).mean()),
            float(((by_unit > 0).mean(0) < 0.01).mean()),
            *beyond,
        )


def _activations(model: Any):
    """Yield the kind and the tensor of each hidden activation."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.ReLU):
            kind = "relu"
        else:
            kind = getattr(getattr(layer, "activation", None), "__name__", "")
        if kind and kind != "linear":
            found.append((kind, layer.output))
    last = model.layers[-1]
    if found and found[-1][1] is last.output:
        found.pop()
    yield from found


def _passes(model: Any, outputs: list[Any]) -> Any:
    """Return a function of a batch: loss, gradients, and the outputs."""
    inner = keras.Model(model.inputs, outputs) if outputs else None
    if keras.config.backend() == "jax":
        return _jax_passes(model, inner)
    if keras.config.backend() == "torch":
        return _torch_passes(model, inner)
    return _tensorflow_passes(model, inner)


def _jax_passes(model: Any, inner: Any) -> Any:
    import jax

    def values(variables):
        return [v.value for v in variables]

    def loss_of(trainable, other, metrics, x, y):
        answer, _ = model.stateless_call(trainable, other, x, training=False)
        loss, _ = model.stateless_compute_loss(
            trainable, other, metrics, x=x, y=y, y_pred=answer, training=False
        )
        return loss

    def all_of(trainable, other, metrics, inner_values, x, y):
        loss, gradients = jax.value_and_grad(loss_of)(
            trainable, other, metrics, x, y
        )
        outputs = ()
        if inner is not None:
            outputs, _ = inner.stateless_call(*inner_values, x, training=False)
            outputs = outputs if isinstance(outputs, list) else [outputs]
        return loss, gradients, outputs

    compiled = jax.jit(all_of)

    def passes(x, y):
        inner_values = ()
        if inner is not None:
            inner_values = (
                values(inner.trainable_variables),
                values(inner.non_trainable_variables),
            )
        return jax.device_get(
            compiled(
                values(model.trainable_variables),
                values(model.non_trainable_variables),
                values(model.metrics_variables),
                inner_values,
                x,
                y,
            )
        )

    return passes


def _outputs(inner: Any, x: Any) -> list[np.ndarray]:
    if inner is None:
        return []
    outputs = inner(x, training=False)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def _tensorflow_passes(model: Any, inner: Any) -> Any:
    import tensorflow as tf

    def passes(x, y):
        with tf.GradientTape() as tape:
            answer = model(x, training=False)
            loss = model.compute_loss(x=x, y=y, y_pred=answer, training=False)
        gradients = [
            g.numpy()
            for g in tape.gradient(
                loss,
                [v.value for v in model.trainable_variables],
                unconnected_gradients="zero",
            )
        ]
        return (
            loss.numpy(),
            gradients,
            _outputs(inner, x),
        )

    return passes


def _torch_passes(model: Any, inner: Any) -> Any:
    import torch

    def passes(x, y):
        x, y = (keras.ops.convert_to_tensor(part) for part in (x, y))
        values = [v.value for v in model.trainable_variables]
        answer = model(x, training=False)
        loss = model.compute_loss(x=x, y=y, y_pred=answer, training=False)
        gradients = [
            np.zeros(tuple(v.shape)) if g is None else g.numpy()
            for v, g in zip(
                values,
                torch.autograd.grad(loss, values, allow_unused=True),
                strict=True,
            )
        ]
        with torch.no_grad():
            outputs = _outputs(inner, x)
        return (
            float(loss.detach()),
            gradients,
            outputs,
        )

    return passes
