"""Why do deep Transformers normalize before each sublayer, and not after it?

Transformers read handwritten digits row by row: eight tokens, whose order
matters. A block has attention and a small network, each with a residual
connection. The first Transformer normalizes after the sum (post-norm: `norm(x +
f(x))`), later ones before the sublayer (pre-norm: `x + f(norm(x))`). A norm
after a sum also shrinks the gradient of the connection. So under post-norm the
gradient should fade from the last block to the first (Xiong et al., 2020,
https://arxiv.org/abs/2002.04745). Both learn without a warm-up of the learning
rate.

    python examples/transformer_monitor.py --figure transformer.png
"""

from typing import Any

import keras
import lab
import numpy as np
from matplotlib.figure import Figure

import keras_ext

Array = np.ndarray
WIDTH = 16
STYLES = {"pre-norm": ("C0", "o"), "post-norm": ("C1", "s")}


class Positions(keras.layers.Layer):
    """Adds a learnt vector for each place in the sequence."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Create one vector per place."""
        self.places = self.add_weight(shape=input_shape[1:], name="places")

    def call(self, x: Any) -> Any:
        """Add them."""
        return x + self.places


def sublayer(x: Any, function: Any, norm: str, name: str) -> Any:
    """Return `x` after a residual connection and its normalization."""
    normalize = keras.layers.LayerNormalization(name=f"{name}_norm")
    if norm == "pre-norm":
        return x + function(normalize(x))
    return normalize(x + function(x))


def build(depth: int, norm: str, seed: int = 1) -> keras.Model:
    """Return a Transformer that reads an image's rows."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((64,))
    x = keras.layers.Reshape((8, 8))(inputs)
    x = Positions(name="positions")(
        keras_ext.layers.Dense(WIDTH, name="rows")(x)
    )
    for i in range(depth):
        attention = keras.layers.MultiHeadAttention(
            2, WIDTH // 2, name=f"block_{i}_attention"
        )
        wide = keras_ext.layers.Dense(2 * WIDTH, "relu", name=f"block_{i}_wide")
        narrow = keras_ext.layers.Dense(WIDTH, name=f"block_{i}_narrow")
        x = sublayer(
            x, lambda y, f=attention: f(y, y), norm, f"block_{i}_attention"
        )
        x = sublayer(
            x, lambda y, f=wide, g=narrow: g(f(y)), norm, f"block_{i}_dense"
        )
    if norm == "pre-norm":
        x = keras.layers.LayerNormalization(name="last_norm")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    out = keras_ext.layers.Dense(10, "softmax", name="out")(x)
    model = keras.Model(inputs, out)
    model.compile(
        keras_ext.optimizers.Adam(3e-3),
        keras_ext.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    return model


def blocks(steps: dict[str, Array], depth: int) -> Array:
    """Return the gradient norm of each block, of shape `(depth, steps)`."""
    squares = np.zeros((depth, len(steps["step"])))
    for key, values in steps.items():
        if key.startswith("grad_norm/block_"):
            squares[int(key.split("_")[2])] += values**2
    return np.sqrt(squares)


def main(run: lab.Run) -> None:
    """Train shallow and deep networks of both kinds, compare, draw."""
    depths, epochs = ((2, 6), 2) if run.quick else ((2, 12), 12)
    train, test = lab.digits(256 if run.quick else 768)
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    factor, accuracy = {}, {}
    for depth, line in zip(depths, ("--", "-"), strict=True):
        for norm, (color, marker) in STYLES.items():
            name = f"{norm} and {depth} blocks"
            norms = keras_ext.callbacks.GradientNormLogger(vanishing=None)
            curve = build(depth, norm).fit(
                *train,
                batch_size=64,
                epochs=epochs,
                validation_data=test,
                validation_batch_size=len(test[0]),
                callbacks=[norms, *run.callbacks(name)],
                verbose=0,
            )
            found = blocks(norms.steps, depth)
            later = np.median(found[:, 1:], axis=1)
            factor[name] = (later[0] / later[-1]) ** (1 / (depth - 1))
            curve = curve.history["val_accuracy"]
            accuracy[name] = curve[-1]
            style = {"color": color, "marker": marker, "ms": 4}
            right.plot(
                range(1, epochs + 1), curve, ls=line, label=name, **style
            )
            if depth == depths[-1]:
                place = range(1, depth + 1)
                left.semilogy(place, later, label=f"{norm}, later", **style)
                left.semilogy(
                    place, found[:, 0], ":", label="its first step", **style
                )
    left.set(title=f"Gradient norm (L2), {depth} blocks", xlabel="block")
    right.set(title="Validation accuracy", xlabel="epoch", ylim=(0, 1))
    left.legend()
    right.legend()
    for name in factor:
        print(
            f"{name}: accuracy {accuracy[name]:.2f}; from block to block, "
            f"backwards, the gradient is multiplied by {factor[name]:.2f}."
        )
    pre, post = list(factor)[2:]
    worse = accuracy[pre] - accuracy[post] > 0.1
    print(
        f"After the first step, through {depth} blocks, the gradient is "
        f"multiplied by {factor[post] ** (depth - 1):.2g} under post-norm and "
        f"by {factor[pre] ** (depth - 1):.2g} under pre-norm;\nthe deep "
        f"post-norm network learns {'worse' if worse else 'no worse'}."
    )
    run.log({f"factor/{k}": v for k, v in factor.items()})
    run.log({f"accuracy/{k}": v for k, v in accuracy.items()})
    run.save(figure)


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
