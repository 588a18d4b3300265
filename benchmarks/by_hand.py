"""The cost of the numbers alone, in a training step written by hand.

    KERAS_BACKEND=jax python -m benchmarks.by_hand

One step computes the norm of each gradient and how often each unit of each
ReLU is zero, with the backend's plainest functions, and keeps the numbers in
a variable. The other step does not. Neither has a callback, sampling, sums
over an epoch or a check for numbers that are not finite. Compare the ratio
with "every 1" of `benchmarks.monitors`: the models and the `fit` are the same.
"""

import argparse
import functools
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from benchmarks.monitors import cnn, deep, fit_of, keep_freed_memory, mlp
from benchmarks.paired import compare, row

Tensor = Any


class ByHand(keras.Sequential):
    """A model whose step is written by hand."""

    measures = False

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Make room for the numbers."""
        super().compile(*args, **kwargs)
        relu = keras.activations.relu
        relus = [x for x in self.layers if getattr(x, "activation", 0) is relu]
        self.relus = {layer.name for layer in relus}
        units = sum(layer.output.shape[-1] for layer in relus)
        self.numbers = self.add_weight(
            shape=(len(self.trainable_variables) + units,),
            initializer="zeros",
            trainable=False,
        )

    def _forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the loss and the outputs of the ReLUs."""
        captured = []
        for layer in self.layers:
            x = layer(x)
            if layer.name in self.relus:
                captured.append(x)
        loss = self.compute_loss(y=y, y_pred=x)
        self._loss_tracker.update_state(loss, keras.ops.shape(x)[0])
        return loss, captured

    def train_step(self, *args: Any) -> Any:
        """Train on a batch, as the backend does it."""
        return STEPS[keras.config.backend()](self, *args)


class Measured(ByHand):
    """The same with measuring."""

    measures = True


def tensorflow_step(model: ByHand, data: Any) -> dict[str, Tensor]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss, captured = model._forward(*data)
    gradients = tape.gradient(loss, model.trainable_weights)
    if model.measures:
        norms = tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(g) for g in gradients]))
        fires = [
            tf.reduce_mean(tf.sign(x), range(x.shape.rank - 1))
            for x in captured
        ]
        model.numbers.assign(tf.concat([norms, *fires], 0))
    model.optimizer.apply(gradients, model.trainable_weights)
    return {"loss": model._loss_tracker.result()}


def torch_step(model: ByHand, data: Any) -> dict[str, Tensor]:
    import torch

    model.zero_grad()
    loss, captured = model._forward(*data)
    loss.backward()
    gradients = [v.value.grad for v in model.trainable_weights]
    with torch.no_grad():
        if model.measures:
            norms = torch.stack(torch._foreach_norm(gradients))
            rows = [(x != 0).float().flatten(0, -2) for x in captured]
            fires = [x.new_ones(len(x)) @ x / len(x) for x in rows]
            model.numbers.assign(torch.cat([norms, *fires]))
        model.optimizer.apply(gradients, model.trainable_weights)
    return {"loss": model._loss_tracker.result()}


def jax_step(model: ByHand, state: Any, data: Any) -> Any:
    import jax
    from jax import numpy as jnp

    weights, others, optimizer, metrics = state
    rest = [*model.non_trainable_variables, *model.metrics_variables]

    def loss_of(weights: Any) -> Any:
        variables = [*model.trainable_variables, *rest]
        values = [*weights, *others, *metrics]
        with keras.StatelessScope(
            list(zip(variables, values, strict=True))
        ) as scope:
            loss, captured = model._forward(*data)
            logs = {"loss": model._loss_tracker.result()}
        kept = [scope.get_current_value(v) for v in rest]
        return loss, (captured, kept, logs)

    (_, (captured, kept, logs)), gradients = jax.value_and_grad(
        loss_of, has_aux=True
    )(weights)
    others, metrics = kept[: len(others)], kept[len(others) :]
    if model.measures:
        norms = [jnp.sqrt(jnp.vdot(g, g)) for g in gradients]
        fires = [
            jnp.mean(x != 0, tuple(range(x.ndim - 1)), "float32")
            for x in captured
        ]
        others[-1] = jnp.concatenate([jnp.stack(norms), *fires])
    weights, optimizer = model.optimizer.stateless_apply(
        optimizer, gradients, weights
    )
    return logs, (weights, others, optimizer, metrics)


STEPS: dict[str, Any] = {
    "tensorflow": tensorflow_step,
    "jax": jax_step,
    "torch": torch_step,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--builds", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=4, help="per build")
    parser.add_argument("--only", default="", help="part of a row's name")
    args = parser.parse_args()
    keep_freed_memory()
    print(
        f"| {keras.config.backend()}, by hand | measured / bare | bare / bare "
        "| bare, CPU ms per `fit` |\n|---|---|---|---|"
    )
    for make in (mlp, deep, cnn):
        if args.only in make.__name__:
            c = compare(
                functools.partial(fit_of, make, model_class=Measured),
                functools.partial(fit_of, make, model_class=ByHand),
                clock=time.process_time,
                builds=args.builds,
                pairs=args.pairs,
            )
            print(row(make.__name__, c, 3), flush=True)


if __name__ == "__main__":
    main()
