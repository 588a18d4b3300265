"""Does it help to have learnt 0 to 4 when 5 to 9 must be learnt from a few?

A convolutional base learns digits 0 to 4, at random places of a larger image.
Then a new head for 5 to 9 learns from a few images of each digit, in three
ways: the base stays as it is (frozen), the base goes on learning (fine-tuned),
or the base is new (from scratch). The monitors show which layers have a
gradient and which move. Features that separate 0 to 4 need not separate 5 to 9.
"""

from typing import Any

import keras
import lab
import numpy as np
from matplotlib.figure import Figure

import keras_ext

Array = np.ndarray
SIZE = 12
WAYS = {"frozen": "s", "fine-tuned": "o", "from scratch": "D"}
LAYERS = ["conv_0", "conv_1", "conv_2", "head"]


def shifted(x: Array, seed: int) -> Array:
    """Return images of shape `(n, 12, 12, 1)`, each digit at some place."""
    places = np.random.default_rng(seed).integers(0, SIZE - 7, (len(x), 2))
    images = np.zeros((len(x), SIZE, SIZE, 1), "float32")
    for image, small, (row, column) in zip(images, x, places, strict=True):
        image[row : row + 8, column : column + 8, 0] = small.reshape(8, 8)
    return images


def build(trainable: bool = True) -> keras.Model:
    """Return a base of convolutions, under a head for five digits."""
    conv = keras.layers.Conv2D
    base = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            conv(16, 3, activation="relu", name="conv_0"),
            conv(32, 3, activation="relu", name="conv_1"),
            keras.layers.MaxPooling2D(),
            conv(32, 3, activation="relu", name="conv_2"),
            keras.layers.GlobalMaxPooling2D(),
        ],
        name="base",
    )
    base.trainable = trainable
    head = keras_ext.layers.Dense(5, "softmax", name="head")
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), base, head])
    model.compile(
        keras_ext.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def some(y: Array, count: int, seed: int) -> Array:
    """Return the indices of a few images of each digit from 5 to 9."""
    order = np.random.default_rng(seed).permutation(len(y))
    return np.concatenate([order[y[order] == i][:count] for i in range(5, 10)])


def draw(counts: Any, accuracy: dict[str, Array], moved: dict) -> Figure:
    """Draw the accuracy by images, and how far each layer moves."""
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, (way, marker) in enumerate(WAYS.items()):
        mean, spread = accuracy[way].mean(1), accuracy[way].std(1)
        style = {"marker": marker, "capsize": 3, "label": way}
        left.errorbar(counts, mean, spread, **style)
        place = np.arange(len(LAYERS)) + (i - 1) * 0.27
        values = [moved[way][name] for name in LAYERS]
        right.bar(place, values, 0.25, label=way)
        for x, value in zip(place, values, strict=True):
            if not value:
                right.text(x, 0, " no gradient", rotation=90, ha="center")
    left.set(xscale="log", xlabel="images of each digit", ylim=(0, 1))
    left.set_title("Validation accuracy on 5 to 9")
    left.set_xticks(counts, counts)
    left.minorticks_off()
    left.legend(loc="lower right")
    right.set_xticks(range(len(LAYERS)), LAYERS)
    right.set(title="What moves: |change| / |weights| a step")
    return figure


def main(run: lab.Run) -> None:
    """Train a base, use it in three ways, compare, draw."""
    (x, y), (vx, vy) = lab.digits()
    x, vx = shifted(x, 0), shifted(vx, 1)
    counts, seeds, epochs = ((4,), 1, 15) if run.quick else ((2, 20), 3, 30)
    keras.utils.set_random_seed(1)
    first = build()
    small, log = y < 5, run.callbacks("base on 0 to 4")
    long = 6 if run.quick else 20
    first.fit(x[small], y[small], epochs=long, callbacks=log, verbose=0)
    learnt = first.get_layer("base").get_weights()
    test = vx[vy > 4], vy[vy > 4] - 5
    accuracy: dict[str, Array] = {}
    moved: dict[str, dict[str, float]] = {}
    for way in WAYS:
        model = build(trainable=way != "frozen")
        fresh = [v.numpy() for v in model.optimizer.variables]
        accuracy[way] = np.zeros((len(counts), seeds))
        for i, seed in np.ndindex(*accuracy[way].shape):
            keras.utils.set_random_seed(seed)
            model.set_weights(build().get_weights())
            if way != "from scratch":
                model.get_layer("base").set_weights(learnt)
            for v, value in zip(model.optimizer.variables, fresh, strict=True):
                v.assign(value)
            chosen = some(y, counts[i], seed)
            norms = keras_ext.callbacks.GradientNormLogger(5)
            ratios = keras_ext.callbacks.UpdateRatioLogger(5)
            logger = run.callbacks(f"{way}, {counts[i]} of each, seed {seed}")
            model.fit(
                *(x[chosen], y[chosen] - 5),
                batch_size=10,
                epochs=epochs,
                callbacks=[norms, ratios, *logger],
                verbose=0,
            )
            accuracy[way][i, seed] = model.evaluate(*test, verbose=0)[1]
        moved[way] = {n: 0.0 for n in LAYERS}
        for key, values in ratios.epochs.items():
            moved[way][key.split("/")[-1]] = float(np.mean(values))
        keys = [k for k in norms.epochs if not k.endswith("global")]
        print(f"{way}: gradients of", *(k.split("/")[-1] for k in keys))
    for way, values in accuracy.items():
        print(f"{way:14}", *(f"{v:.2f}" for v in values.mean(1)))
    few, many = ({w: v[i].mean() for w, v in accuracy.items()} for i in (0, -1))
    best, then = (max(d, key=d.__getitem__) for d in (few, many))
    most = max(LAYERS, key=moved["fine-tuned"].__getitem__)
    print(
        f"With {counts[0]} images of each digit {best} is "
        f"best ({max(few.values()):.2f}; frozen {few['frozen']:.2f}, from "
        f"scratch {few['from scratch']:.2f}),\nwith {counts[-1]} images "
        f"{then} ({max(many.values()):.2f}). Fine-tuning "
        f"moves {most} most, by {moved['fine-tuned'][most]:.1e} a step."
    )
    run.log({f"accuracy/{w}": v for w, v in few.items()})
    run.save(draw(counts, accuracy, moved))


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
