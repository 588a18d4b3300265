"""Which optimizer is the fastest, each at its own best learning rate?

Each optimizer trains one network on digits with five learning rates, half a
decade apart. Its best learning rate has the lowest training loss at the end,
with a seed that is not used again. Other seeds then draw its curve. Keras's own
optimizer repeats the first training of each grid, and the example prints the
difference.

    python examples/optimizers.py --figure optimizers.png
"""

from typing import Any

import keras
import lab
import numpy as np

import keras_ext
from keras_ext.layers import Dense

Array = np.ndarray
# Class, its arguments, and the middle of its grid of learning rates.
OPTIMIZERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "gradient descent": ("SGD", {}, 0.3),
    "momentum": ("SGD", {"momentum": 0.9}, 0.1),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, 0.1),
    "Adagrad": ("Adagrad", {}, 0.1),
    "RMSprop": ("RMSprop", {}, 0.01),
    "Adam": ("Adam", {}, 0.01),
}
COLORS = "#0072b2 #d55e00 #009e73 #cc79a7 #56b4e9 #e69f00".split()


def network() -> keras.Model:
    """Return the network, with new weights."""
    hidden = [Dense(32, "relu", kernel_initializer="he_normal") for _ in "12"]
    out = Dense(10, "softmax")
    return keras.Sequential([keras.Input((64,)), *hidden, out])


class Bench:
    """A network that one optimizer trains many times, compiled once."""

    def __init__(self, library: Any, kind: str, settings: dict[str, Any]):
        self.model = network()
        self.optimizer = getattr(library.optimizers, kind)(**settings)
        loss = keras_ext.losses.SparseCategoricalCrossentropy()
        self.model.compile(self.optimizer, loss)
        self.optimizer.build(self.model.trainable_variables)
        self._start = [v.numpy().copy() for v in self.optimizer.variables]

    def train(self, rate: float, seed: int, epochs: int, logs: list) -> Array:
        """Return each epoch's loss, with new weights and state."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(network().get_weights())
        variables = self.optimizer.variables
        for variable, value in zip(variables, self._start, strict=True):
            variable.assign(value)
        self.optimizer.learning_rate = rate
        (x, y), _ = lab.digits(500)
        history = self.model.fit(
            x, y, batch_size=50, epochs=epochs, callbacks=logs, verbose=0
        )
        return np.array(history.history["loss"])


def draw(
    grids: dict[str, dict], curves: dict[str, Array], title: str, run: lab.Run
) -> None:
    """Draw the last loss by learning rate, the best one's by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.3))
    for i, (name, losses) in enumerate(curves.items()):
        rates, ends = zip(*sorted(grids[name].items()), strict=True)
        left.loglog(rates, ends, "o-", color=COLORS[i], ms=4)
        best = rates[int(np.argmin(ends))]
        left.plot(best, min(ends), "o", color=COLORS[i], ms=9)
        # Means and standard deviations of logarithms, as the axis is.
        mean, spread = np.log(losses).mean(0), np.log(losses).std(0)
        middle, low, high = np.exp([mean, mean - spread, mean + spread])
        right.errorbar(
            np.arange(1, len(mean) + 1),
            middle,
            (middle - low, high - middle),
            errorevery=(i % 3, 3),
            color=COLORS[i],
            capsize=3,
            label=f"{name} at {best:g}",
        )
    left.set(title=f"After {losses.shape[1]} epochs", xlabel="learning rate")
    left.set_ylabel("training loss (cross-entropy)")
    right.set(title=title, xlabel="epoch, at its own best learning rate")
    figure.legend(loc="outside lower center", ncols=3)
    run.save(figure)


def main(run: lab.Run) -> None:
    """Choose each learning rate, train, compare, draw."""
    names = list(OPTIMIZERS)[:: 5 if run.quick else 1]
    seeds, epochs = range(1, 3 if run.quick else 5), 5 if run.quick else 15
    grids: dict[str, dict[float, float]] = {}
    curves: dict[str, Array] = {}
    differences = []
    for name in names:
        kind, settings, middle = OPTIMIZERS[name]
        bench, grid = Bench(keras_ext, kind, settings), {}
        twin = Bench(keras, kind, settings).train(middle, 0, epochs, [])
        for factor in (1, 0.1, 0.3, 3, 10):
            losses = bench.train(middle * factor, 0, epochs, [])
            grid[middle * factor] = np.nan_to_num(losses, nan=np.inf)[-1]
            if factor == 1:
                differences.append(np.abs(losses / twin - 1).max())
        rate = min(grid, key=lambda rate: grid[rate])
        logs = {s: run.callbacks(f"{name}, seed {s}") for s in seeds}
        trained = [bench.train(rate, s, epochs, logs[s]) for s in seeds]
        grids[name], curves[name] = grid, np.array(trained)
        end = curves[name][:, -1]
        edge = ", at the grid's edge" if rate in (min(grid), max(grid)) else ""
        print(
            f"{name:16} loss {end.mean():.4f} ± {end.std():.4f} at learning "
            f"rate {rate:g}{edge}; built-in differs by {differences[-1]:.0e}"
        )
        run.log({f"loss/{name}": end.mean(), f"learning_rate/{name}": rate})
    run.log({"largest_difference": max(differences)})
    ends = {name: curves[name][:, -1].mean() for name in names}
    order = sorted(names, key=lambda name: ends[name])
    by_name = ends[order[-1]] / ends[order[0]]
    by_rate = np.median([max(g.values()) / ends[n] for n, g in grids.items()])
    print(f"From the fastest to the slowest: {', '.join(order)}.")
    winner = "learning rate" if by_rate > by_name else "optimizer"
    print(
        "Among optimizers at their best learning rates the loss differs by a "
        f"factor of {by_name:.0f}, among the learning rates of one by "
        f"{by_rate:.0f}: the {winner} matters more.\n"
        "The losses of Keras's own optimizers, with the same seed, differ by "
        f"at most {max(differences):.0e} of their value."
    )
    draw(grids, curves, f"Lowest at the end: {order[0]}", run)


if __name__ == "__main__":
    with lab.example(__doc__) as example:
        main(example)
