"""How do batch, mini-batch and stochastic gradient descent walk?

A linear regression with two weights, on two correlated features of
scikit-learn's diabetes data, has a loss surface that can be drawn. Keras fits
it three times, from the same place and at the same learning rate. Only the
number of rows in a step differs. Each path shows the weights after every step.

    python examples/descent_trajectories.py
"""

import keras
import lab
import numpy as np
from sklearn.datasets import load_diabetes

from keras_ext import layers, losses, optimizers

Array = np.ndarray
START = (-0.1, -1.2)
RATE = 0.02
SIZES = {"batch": 440, "mini-batch": 20, "stochastic": 1}
COLOURS = {"batch": "#000000", "mini-batch": "#0072B2", "stochastic": "#E69F00"}
# The minimum counts as reached when this share of the excess loss is left.
REACHED = 0.05


class Path(keras.callbacks.Callback):
    """Keeps the weights before the first step and after each step."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Begin at the start."""
        self.points = [self.model.get_weights()[0][:, 0]]

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Take the next point."""
        self.points.append(self.model.get_weights()[0][:, 0])


def data() -> tuple[Array, Array]:
    """Return two features, (440, 2), and the target, (440,), standardized."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x[:440, [7, 8]], y[:440]  # s4 and s5, of blood serum
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    return x.astype("float32"), y.astype("float32")


def walk(run: lab.Run, name: str, epochs: int) -> Array:
    """Return the weights after each step, of shape `(steps + 1, 2)`."""
    keras.utils.set_random_seed(1)
    start = keras.initializers.Constant(np.reshape(START, (2, 1)))
    line = layers.Dense(1, use_bias=False, kernel_initializer=start)
    model = keras.Sequential([keras.Input((2,)), line])
    model.compile(optimizers.SGD(RATE), losses.MeanSquaredError())
    path = Path()
    model.fit(
        *data(),
        batch_size=SIZES[name],
        epochs=epochs,
        callbacks=[path, *run.callbacks(name)],
        verbose=0,
    )
    return np.array(path.points)


def loss(w: Array) -> Array:
    """Return the loss over all rows, of weights of shape `(..., 2)`."""
    x, y = data()
    return np.mean((w @ x.T - y) ** 2, axis=-1)


def steps_to_minimum(excess: Array) -> int | None:
    """Return the number of steps until `REACHED` of the excess is left."""
    there = np.flatnonzero(excess <= REACHED * excess[0])
    return int(there[0]) if len(there) else None


def measures(path: Array, size: int, best: Array) -> dict[str, float]:
    """Return the cost of a path, its detour and how it hovers."""
    excess = loss(path) - loss(best)
    steps = steps_to_minimum(excess)
    way = path[: steps + 1] if steps else path
    length = np.linalg.norm(np.diff(way, axis=0), axis=1).sum()
    return {
        "steps": steps if steps else np.nan,
        "rows": steps * size if steps else np.nan,
        "detour": length / np.linalg.norm(way[-1] - way[0]),
        "hovering": excess[len(excess) // 2 :].mean(),
    }


def draw(run: lab.Run, paths: dict[str, Array], best: Array) -> None:
    """Draw the paths on the loss surface, and the loss by rows read."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    sides = np.linspace(-0.9, 1.3, 80), np.linspace(-1.35, 0.85, 80)
    a, b = np.meshgrid(*sides)
    surface = loss(np.stack([a, b], axis=-1)) - loss(best)
    levels = np.geomspace(0.005, surface.max(), 12)
    left.contour(a, b, surface, levels, colors="0.8", linewidths=0.8)
    for name in sorted(paths, key=lambda n: SIZES[n]):
        path, size = paths[name], SIZES[name]
        how = {"color": COLOURS[name], "label": f"{name} ({size} a step)"}
        left.plot(*path.T, lw=1 if size == 1 else 2, **how)
        rows = np.arange(1, len(path)) * size
        right.loglog(rows, loss(path[1:]) - loss(best), lw=1.5, **how)
    left.plot(*START, "s", color="0.3", ms=7)
    left.plot(*best, "*", color="#D55E00", ms=14, zorder=5)
    left.annotate("start", START, (0.0, -1.25))
    left.annotate("minimum", best, (best[0] + 0.45, best[1] + 0.1))
    left.set(title="Fewer rows a step, a rougher path")
    left.set(xlabel="weight of s4", ylabel="weight of s5")
    right.set(title="Single rows arrive sooner, but do not rest")
    right.set(xlabel="rows read", ylabel="loss above its minimum")
    right.legend(loc="lower left")
    run.save(figure)


def main(run: lab.Run) -> None:
    """Walk three times, and compare the paths."""
    epochs = {"batch": 300, "mini-batch": 15, "stochastic": 4}
    if run.quick:
        epochs = {"batch": 150, "mini-batch": 15, "stochastic": 2}
    best = np.linalg.lstsq(*data(), rcond=None)[0]
    paths = {name: walk(run, name, epochs[name]) for name in SIZES}
    found = {n: measures(p, SIZES[n], best) for n, p in paths.items()}
    for name, one in found.items():
        run.log({f"{name}/{key}": value for key, value in one.items()})
        print(
            f"{name:11} {one['steps']:4.0f} steps, {one['rows']:6.0f} rows to "
            f"near the minimum, a path of {one['detour']:.2f} times the "
            f"straight line; then the excess loss is {one['hovering']:.1e}"
        )
    batch, mini, one = (found[name] for name in SIZES)
    print(
        f"\nRow by row the descent comes near the minimum after "
        f"{batch['rows'] / one['rows']:.0f} times fewer rows than in full\n"
        f"batches, on a path {one['detour'] / batch['detour']:.1f} times as "
        f"long. Then it hovers {one['hovering'] / mini['hovering']:.0f} times "
        f"higher than with {SIZES['mini-batch']} rows\n(independent noise: "
        f"{SIZES['mini-batch']} times). In full batches it comes to rest."
    )
    draw(run, paths, best)


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
