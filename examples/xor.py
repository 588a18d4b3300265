"""Why does one neuron not learn XOR, when it learns AND and OR?

A perceptron fires on one side of a line. Sixteen perceptrons learn the sixteen
functions of two bits by Rosenblatt's rule. AND, OR and XOR are among these
functions. Then networks with a hidden layer of 2 units, and of 8, learn XOR.

    python examples/xor.py --figure xor.png
"""

import itertools
from typing import Any

import keras
import lab
import numpy as np

import keras_ext
from keras_ext.layers import Dense, Perceptron

Array = np.ndarray
BITS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
# One column a function: its answer to each row of `BITS`.
FUNCTIONS = np.array(list(itertools.product((0, 1), repeat=4)), "float32").T
PLACES = {"AND": 0b0001, "OR": 0b0111, "XOR": 0b0110}
XOR = PLACES["XOR"]
EPOCHS = 15
COLORS, SIDES = ["#0072b2", "#009e73", "#d55e00"], ["#d9e6f2", "#fbdcb5"]


class Answers(keras.callbacks.Callback):
    """Keeps the share of `BITS` that each output has right, by epoch."""

    def __init__(self, targets: Array):
        super().__init__()
        self.targets = targets
        self.right: list[Array] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Ask the model."""
        fires = keras.ops.convert_to_numpy(self.model(BITS)) > 0.5
        self.right.append((fires == self.targets).mean(0))


def train(
    model: keras.Model, targets: Array, passes: int, callbacks: list
) -> Array:
    """Train on the four rows; return the right answers of each epoch."""
    answers = Answers(targets)
    model.fit(
        np.tile(BITS, (passes, 1)),
        np.tile(targets, (passes, 1)),
        batch_size=1 if passes == 1 else 4,
        epochs=EPOCHS,
        callbacks=[answers, *callbacks],
        verbose=0,
    )
    return np.array(answers.right)


def perceptrons(seed: int, run: lab.Run) -> tuple[keras.Model, Array]:
    """Train a perceptron on each function; return also the right answers."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([Perceptron(16)])
    # The loss is a mean over 16 units; each has a learning rate of 1.
    model.compile(keras_ext.optimizers.SGD(16.0), keras_ext.losses.Huber())
    callbacks = run.callbacks(f"perceptrons, seed {seed}")
    return model, train(model, FUNCTIONS, 1, callbacks)


def network(hidden: int, seed: int, run: lab.Run) -> tuple[keras.Model, Array]:
    """Train a network on XOR; return it, and its share of right answers."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([Dense(hidden, "tanh"), Dense(1, "sigmoid")])
    model.compile(
        keras_ext.optimizers.Adam(0.03), keras_ext.losses.BinaryCrossentropy()
    )
    callbacks = run.callbacks(f"{hidden} hidden, seed {seed}")
    return model, train(model, FUNCTIONS[:, [XOR]], 30, callbacks)[:, 0]


def draw_map(axes: Any, title: str, model: Any, place: int, unit: int) -> None:
    """Draw where an output of the model fires, and where it should."""
    line = np.linspace(-0.5, 1.5, 101)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    outputs = keras.ops.convert_to_numpy(model(grid.astype("float32")))
    fires = outputs[:, unit].reshape(101, 101)
    axes.contourf(line, line, fires, [-1, 0.5, 2], colors=SIDES)
    for row, wanted in zip(BITS, FUNCTIONS[:, place], strict=True):
        mark, color = ("s", COLORS[2]) if wanted else ("o", COLORS[0])
        axes.plot(*row, mark, color=color, ms=10, mec="black")
    axes.set(title=title, xlabel="first bit", xticks=(0, 1), yticks=(0, 1))


def draw_curves(axes: Any, title: str, curves: dict[str, Array]) -> None:
    """Draw the share of right answers by epoch: mean and range of seeds."""
    for color, (label, right) in zip(COLORS, curves.items(), strict=False):
        x, low, high = np.arange(1, EPOCHS + 1), right.min(0), right.max(0)
        axes.plot(x, right.mean(0), color=color, lw=2, label=label)
        axes.fill_between(x, low, high, color=color, alpha=0.15)
    axes.set(title=title, ylim=(0, 1.05), yticks=(0, 0.25, 0.5, 0.75, 1))
    axes.legend(loc="lower right")


def main(run: lab.Run) -> None:
    """Train both kinds, count the learnt functions, and draw them."""
    from matplotlib.figure import Figure

    seeds = 2 if run.quick else 5
    neurons = [perceptrons(seed, run) for seed in range(seeds)]
    right = np.array([x for _, x in neurons])  # seed, epoch, function
    settled = (right[:, -3:] == 1).all(1)
    nets = {n: [network(n, seed, run) for seed in range(seeds)] for n in (2, 8)}
    of_nets = {n: np.array([x for _, x in nets[n]]) for n in nets}
    learnt = {n: int((x[:, -1] == 1).sum()) for n, x in of_nets.items()}
    best = right[:, :, XOR].max()
    never = [f"{place:04b}" for place in np.flatnonzero(~settled.any(0))]
    for name, place in PLACES.items():
        print(f"{name}: learnt with {settled[:, place].sum()} of {seeds} seeds")
    print(
        f"Of the 16 functions {settled.all(0).sum()} are learnt with every "
        f"seed. No seed learns those that answer {' and '.join(never)}.\n"
        f"On XOR one neuron never has more than {best:.0%} right: no line "
        "separates more. With a hidden layer of 2 units "
        f"{learnt[2]} of {seeds} networks learn XOR, of 8 {learnt[8]}."
    )
    run.log({f"xor_learnt/{n}_hidden": count for n, count in learnt.items()})
    run.log({"functions": settled.all(0).sum(), "xor_best_accuracy": best})

    figure: Any = Figure(figsize=(9, 5.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    *maps, last = top.subplots(1, 4, sharey=True)
    for axes, (name, place) in zip(maps, PLACES.items(), strict=True):
        draw_map(axes, f"{name}, one neuron", neurons[0][0], place, place)
    draw_map(last, "XOR, 8 hidden units", nets[8][0][0], XOR, 0)
    maps[0].set_ylabel("second bit")
    left, side = bottom.subplots(1, 2, sharey=True)
    curves = {name: right[:, :, place] for name, place in PLACES.items()}
    draw_curves(left, f"One neuron: {best:.0%} of XOR at best", curves)
    left.set(xlabel="passes over the four rows", ylabel="right answers, share")
    curves = {f"{n} hidden units": x for n, x in of_nets.items()}
    title = f"XOR learnt by {learnt[2]} and {learnt[8]} of {seeds} networks"
    draw_curves(side, title, curves)
    side.set_xlabel("epochs of 30 passes")
    run.save(figure)


if __name__ == "__main__":
    with lab.example(__doc__) as example:
        main(example)
