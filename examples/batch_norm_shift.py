"""What does batch normalization do, and is it the internal covariate shift?

Layers of tanh learn digits in three ways: plainly, with batch normalization,
and with batch normalization followed by a random scale and shift of each unit,
new in each step. The third way puts back the shift that normalization removes
(Santurkar et al., 2018, https://arxiv.org/abs/1805.11604). `ActivationLogger`
shows the inputs of the last hidden layer, `GradientNormLogger` the gradients.

    python examples/batch_norm_shift.py --figure batch_norm.png
"""

import itertools
from typing import Any

import keras
import lab
import numpy as np

import keras_ext
from keras_ext.callbacks import ActivationLogger, GradientNormLogger
from keras_ext.layers import BatchNormalization, Dense, Tanh

# By learning rate: for each seed, the values by epoch and by step.
Histories = dict[float, list[dict[str, Any]]]
DEPTH, RATES = 6, (0.3, 2.0)
KINDS = ("plain", "normalized", "shifted again")
COLORS = ("#0072b2", "#d55e00", "#009e73")
# The inputs of the last hidden layer, and the gradient of the first one.
MEAN = f"activation_mean/tanh_{DEPTH - 2}"
STD = f"activation_std/tanh_{DEPTH - 2}"
NORM = "grad_norm/dense_0"


class Shift(keras.layers.Layer):
    """In training scales and shifts each unit at random, in each step."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the inputs, shifted if in training."""
        units = x.shape[-1:]
        scale = keras.random.uniform(units, 0.5, 1.5, seed=self.seeds)
        shift = keras.random.uniform(units, -1, 1, seed=self.seeds)
        return x * scale + shift if training else x


def network(kind: str) -> keras.Model:
    """Return the network, with new weights."""
    model = keras.Sequential([keras.Input((64,))])
    for i in range(DEPTH):
        model.add(Dense(32, name=f"dense_{i}"))
        if kind != "plain":
            model.add(BatchNormalization(momentum=0.9))
        if kind == "shifted again":
            model.add(Shift())
        model.add(Tanh(name=f"tanh_{i}"))
    model.add(Dense(10, "softmax", name="out"))
    return model


def study(kind: str, seeds: range, run: lab.Run) -> Histories:
    """Train one model, with new weights for each learning rate and seed."""
    model, optimizer = network(kind), keras_ext.optimizers.SGD()
    loss = keras_ext.losses.SparseCategoricalCrossentropy()
    model.compile(optimizer, loss, metrics=["accuracy"])
    outputs = ActivationLogger(1)
    norms = GradientNormLogger(1, vanishing=None, exploding=None)
    train, validation = lab.digits()
    found: Histories = {rate: [] for rate in RATES}
    for rate, seed in itertools.product(RATES, seeds):
        keras.utils.set_random_seed(seed)
        model.set_weights(network(kind).get_weights())
        optimizer.learning_rate = rate
        logs = run.callbacks(f"{kind}, learning rate {rate}, seed {seed}")
        history = model.fit(
            *train,
            validation_data=validation,
            batch_size=64,
            epochs=3 if run.quick else 5,
            callbacks=[outputs, norms, *logs],
            verbose=0,
        )
        found[rate].append(history.history | outputs.steps | norms.steps)
    return found


def draw(found: dict[str, Histories], run: lab.Run) -> None:
    """Draw inputs and gradients by step, each seed, and the accuracy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    *panels, last = figure.subplots(2, 2).flat
    low, high = RATES
    titles = (
        (MEAN, "Mean of the last hidden layer's inputs"),
        (STD, "Their standard deviation"),
        (NORM, "Gradient norm (L2) of the first layer"),
    )
    for color, (kind, of_rates) in zip(COLORS, found.items(), strict=True):
        for axes, (key, title) in zip(panels, titles, strict=True):
            for history in of_rates[low]:
                axes.plot(history[key], color=color, lw=0.8)
            axes.set(title=title, xlabel="step")
        for rate, line, label in ((low, "-", kind), (high, "--", None)):
            rows = np.array([r["val_accuracy"] for r in of_rates[rate]])
            look = {"color": color, "ls": line, "label": label, "capsize": 3}
            epochs = np.arange(1, rows.shape[1] + 1)
            last.errorbar(epochs, rows.mean(0), rows.std(0), **look)
    figure.suptitle(f"Learning rate {low:g} (dashed: {high:g})")
    last.set(title="Validation accuracy", xlabel="epoch", ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=3)
    run.save(figure)


def main(run: lab.Run) -> None:
    """Train all, compare, print what holds, and draw it."""
    seeds = range(1 if run.quick else 3)
    found = {kind: study(kind, seeds, run) for kind in KINDS}
    for rate in RATES:
        jumps, reached = {}, {}
        for kind in KINDS:
            mean, std, accuracy = (
                np.array([history[key] for history in found[kind][rate]])
                for key in (MEAN, STD, "val_accuracy")
            )
            jump = jumps[kind] = (np.abs(np.diff(mean)) / std[:, 1:]).mean()
            share = reached[kind] = accuracy.mean()
            print(
                f"learning rate {rate:g}, {kind:13} deviation "
                f"{std[:, 0].mean():.2f} to {std[:, -1].mean():.2f}, the mean "
                f"jumps by {jump:.3f} of it; mean accuracy {share:.2f}"
            )
            name = f"{kind}/{rate:g}"
            run.log({f"jump/{name}": jump, f"accuracy/{name}": share})
        change, left = (reached[k] - reached["plain"] for k in KINDS[1:])
        wilder = jumps["shifted again"] / jumps["normalized"]
        why = "is not" if left > change / 2 and wilder > 2 else "may be"
        print(
            f"At learning rate {rate:g} normalization changes the accuracy by "
            f"{change:+.2f}. Shifted inputs jump {wilder:.0f} times as far and "
            f"change it by {left:+.2f}: steadiness {why} the reason."
        )
    draw(found, run)


if __name__ == "__main__":
    with lab.example(__doc__) as example:
        main(example)
