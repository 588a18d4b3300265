"""What did the hidden units of the first layer learn?

A unit has a weight for each pixel, so its weights are an image. The figure
shows the weights before and after training, and the digits that each unit fires
for. `DeadReLULogger` counts dead units, at two learning rates.

    python examples/first_layer.py --figure first_layer.png
"""

from dataclasses import dataclass
from typing import Any

import keras
import lab
import numpy as np

import keras_ext
from keras_ext.layers import Dense

Array = np.ndarray
UNITS, MILD, HIGH = 24, 0.003, 0.1
# Pixels that no image has ink on, on the edges.
BLANK = lab.digits()[0][0].max(0) == 0


@dataclass
class Layer:
    """A network's first layer, before and after training.

    Attributes:
        before: Weights before training, of shape `(64, units)`.
        after: Weights after training.
        born: Share of units that fired for no image before training.
        fires: Mean output for the images of each digit, `(10, units)`.
        dead: Share of units that fired for no image of the last epoch.
        accuracy: The network's, on the validation images.
    """

    before: Array
    after: Array
    born: float
    fires: Array
    dead: float
    accuracy: float


def train(rate: float, seed: int, run: lab.Run) -> Layer:
    """Train a network, and return its first layer."""
    keras.utils.set_random_seed(seed)
    (x, y), validation = lab.digits()
    first = Dense(UNITS, "relu", name="first")
    out = Dense(10, "softmax", name="out")
    model = keras.Sequential([keras.Input((64,)), first, out])
    loss = keras_ext.losses.SparseCategoricalCrossentropy()
    model.compile(keras_ext.optimizers.Adam(rate), loss, metrics=["accuracy"])
    before = keras.ops.convert_to_numpy(first.kernel).copy()
    born = (keras.ops.convert_to_numpy(first(x)) == 0).all(0).mean()
    dead = keras_ext.callbacks.DeadReLULogger(every_n_steps=1)
    history = model.fit(
        *(x, y),
        validation_data=validation,
        epochs=4 if run.quick else 15,
        callbacks=[dead, *run.callbacks(f"learning rate {rate}, seed {seed}")],
        verbose=0,
    )
    outputs = keras.ops.convert_to_numpy(first(x))
    return Layer(
        before=before,
        after=keras.ops.convert_to_numpy(first.kernel),
        born=float(born),
        fires=np.stack([outputs[y == digit].mean(0) for digit in range(10)]),
        dead=float(dead.epochs["dead_relu/first"][-1]),
        accuracy=history.history["val_accuracy"][-1],
    )


def smoothness(weights: Array) -> float:
    """Return the correlation of neighbouring pixels' weights.

    Noise has about 0, strokes and blobs come near 1. Pixels that are always
    blank are left out.
    """
    images = np.where(BLANK[:, None], np.nan, weights).T.reshape(-1, 8, 8)
    beside = images[:, :, :-1].ravel(), images[:, :, 1:].ravel()
    above = images[:, :-1].ravel(), images[:, 1:].ravel()
    pairs = np.concatenate([beside, above], axis=1)
    return np.corrcoef(pairs[:, np.isfinite(pairs).all(0)])[0, 1]


def draw(layer: Layer, title: str, run: lab.Run) -> None:
    """Draw each unit's weights before and after, and its digits."""
    from matplotlib.figure import Figure

    # By the digit of a unit's largest output, dead units last.
    dead = layer.fires.max(0) == 0
    order = np.lexsort((layer.fires.argmax(0), dead))
    figure: Any = Figure(figsize=(9, 6.8), layout="constrained")
    top, low = figure.subfigures(2, 1, height_ratios=(1.9, 1))
    left, right = top.subfigures(1, 2, wspace=0.03)
    left.suptitle("Weights before training")
    right.suptitle("Weights after it: orange where ink excites")
    limit = np.abs(layer.after).max()
    for side, weights in ((left, layer.before), (right, layer.after)):
        for place, axes in enumerate(side.subplots(4, 6).flat):
            image = weights[:, order[place]].reshape(8, 8)
            axes.imshow(image, "PuOr_r", vmin=-limit, vmax=limit)
            mark = " dead" if dead[order[place]] else ""
            axes.set_title(f"{place}{mark}", fontsize=9, pad=2)
            axes.axis("off")
    axes = low.subplots()
    share = layer.fires / np.maximum(layer.fires.max(0), 1e-9)
    image = axes.imshow(share[:, order], "cividis", aspect="auto")
    low.colorbar(image, ax=axes, label="mean output,\nshare of its largest")
    axes.set(title=title, xlabel="unit of the first layer", ylabel="digit")
    axes.set(xticks=range(UNITS), yticks=range(10))
    run.save(figure)


def main(run: lab.Run) -> None:
    """Train at both learning rates, print and draw the units."""
    seeds = range(1 if run.quick else 3)
    for rate in (HIGH, MILD):
        layers = [train(rate, seed, run) for seed in seeds]
        accuracy, born, dead = np.mean(
            [(x.accuracy, x.born, x.dead) for x in layers], axis=0
        )
        words = f"At learning rate {rate:g} {dead:.0%} of the units are dead in"
        words += f" the last epoch ({born:.0%} before training);"
        print(words, f"{accuracy:.1%} of the validation images are right.")
        run.log({f"dead/{rate}": dead, f"val_accuracy/{rate}": accuracy})
    # From here on: the layers of the low learning rate.
    before = float(np.mean([smoothness(x.before) for x in layers]))
    after = float(np.mean([smoothness(x.after) for x in layers]))
    moved = max(np.abs(x.after - x.before)[BLANK].max() for x in layers)
    run.log({"smoothness/before": before, "smoothness/after": after})
    print(
        f"Weights of neighbouring pixels correlate by {before:.2f} before and "
        f"{after:.2f} after training at {rate:g} (noise: 0). The weights of "
        f"the {BLANK.sum()} pixels that are always blank moved by {moved:g}."
    )
    fires = layers[0].fires[:, layers[0].fires.max(0) > 0]
    liked = np.median((fires > fires.max(0) / 2).sum(0))
    title = f"The median unit fires for {liked:g} of 10 digits"
    print(f"{title}, with at least half of its largest output.")
    draw(layers[0], title, run)


if __name__ == "__main__":
    with lab.example(__doc__) as example:
        main(example)
