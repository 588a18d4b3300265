"""Which mini-batch size converges fastest: per epoch, per update, per second?

A network learns the digits in mini-batches of one image up to all images,
always at the same learning rate. The example computes the validation loss after
a number of updates. `GradientNormLogger` measures the noise at a learning rate
of 0: the length of a mini-batch's gradient beyond the gradient of all images.

    python examples/batch_size.py
"""

import time

import keras
import lab
import numpy as np
from keras import ops

from keras_ext import callbacks, layers, losses, optimizers

Array = np.ndarray
IMAGES = 1280
RATE = 0.1
# For each size of a mini-batch, the number of updates.
UPDATES = {1: 1270, 4: 1270, 16: 790, 64: 490, 256: 390, IMAGES: 390}
QUICK = {1: 1270, 16: 310, IMAGES: 150}
TARGET = 0.5  # validation loss; chance has 2.3
COLOURS = ("#E69F00", "#D55E00", "#CC79A7", "#009E73", "#0072B2", "#000000")


class Snapshots(keras.callbacks.Callback):
    """Keeps `taken`: updates done, CPU seconds of `fit`, and the weights."""

    def __init__(self, updates: int):
        super().__init__()
        self.wanted = set(np.geomspace(1, updates, 40).round())

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start the clock."""
        self.taken: list[tuple[int, float, list[Array]]] = []
        self.done, self.start = 0, time.process_time()

    def on_train_batch_begin(self, step: int, logs: dict | None = None) -> None:
        """Keep the weights after earlier updates, off the clock."""
        if self.done in self.wanted:
            now = time.process_time()
            weights = [w.copy() for w in self.model.get_weights()]
            self.taken.append((self.done, now - self.start, weights))
            self.start += time.process_time() - now
        self.done += 1


def build() -> keras.Model:
    """Return the network; always with the same weights."""
    keras.utils.set_random_seed(1)
    hidden, out = layers.Dense(64, "relu"), layers.Dense(10, "softmax")
    model = keras.Sequential([keras.Input((64,)), hidden, out])
    model.compile(optimizers.SGD(0.0), losses.SparseCategoricalCrossentropy())
    return model


def gradient_length(size: int) -> float:
    """Return the root mean square of the mini-batches' gradient norms."""
    norms = callbacks.GradientNormLogger(1, max_points=None)
    x, y = lab.digits(IMAGES)[0]
    build().fit(x, y, batch_size=size, callbacks=[norms], verbose=0)
    return float(np.sqrt(np.mean(norms.steps["grad_norm/global"] ** 2)))


def curve(run: lab.Run, size: int, updates: int) -> Array:
    """Return updates, epochs, CPU seconds and validation loss, `(4, n)`."""
    (x, y), (x_val, y_val) = lab.digits(IMAGES)
    model, snapshots, rows = build(), Snapshots(updates), []
    model.fit(x[:size], y[:size], batch_size=size, verbose=0)  # compiles
    model.optimizer.learning_rate = RATE
    watch = [snapshots, *run.callbacks(f"{size} images")]
    epochs = updates * size // IMAGES + 1
    model.fit(x, y, size, epochs, callbacks=watch, verbose=0)
    for done, seconds, weights in snapshots.taken:
        model.set_weights(weights)
        loss = ops.convert_to_numpy(model.loss(y_val, model(x_val)))
        rows.append((done, done * size / IMAGES, seconds, loss))
    return np.transpose(rows)


def spent(curves: dict[int, Array], axis: int) -> dict[int, float]:
    """Return the cost of each size when its loss reached the target."""
    return {
        size: min(rows[axis, rows[3] < TARGET], default=np.inf)
        for size, rows in curves.items()
    }


def first(found: dict[int, float]) -> str:
    """Return the sizes with the lowest cost, or up to 10 % more."""
    limit = 1.1 * min(found.values())
    return ", ".join(str(size) for size in found if found[size] <= limit)


def draw(run: lab.Run, curves: dict[int, Array], noise: Array) -> None:
    """Draw the loss by updates, epochs and seconds, and the noise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    for i, name in enumerate(("updates", "epochs", "CPU seconds")):
        for color, size in zip(COLOURS, curves, strict=False):
            rows, how = curves[size], {"color": color, "label": str(size)}
            axes[i].semilogx(rows[i], rows[3], **how)
        axes[i].axhline(TARGET, color="0.6", ls=":")
        axes[i].set_title(f"Fewest {name}: {first(spent(curves, i))}")
        axes[i].set(xlabel=name, ylabel="validation loss", ylim=(0, 2.6))
    axes[0].legend(title="images in a mini-batch", ncols=2)
    sizes = np.array(list(curves))[:-1]
    theory = noise[0] * np.sqrt((IMAGES - sizes) / (IMAGES - 1) / sizes)
    axes[3].loglog(sizes, noise, "o", color="#0072B2", label="measured")
    axes[3].loglog(sizes, theory, "--", color="0.5", label="expected")
    axes[3].set_yticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axes[3].minorticks_off()
    axes[3].set_title("Noise falls as the root of the size")
    axes[3].set(xlabel="images in a mini-batch", ylabel="noise / gradient")
    axes[3].legend()
    run.save(figure)


def main(run: lab.Run) -> None:
    """Train with each size, and print which size is first."""
    sizes = QUICK if run.quick else UPDATES
    curves = {size: curve(run, size, sizes[size]) for size in sizes}
    lengths = np.array([gradient_length(size) for size in sizes])
    noise = np.sqrt((lengths[:-1] / lengths[-1]) ** 2 - 1)
    costs = [spent(curves, i) for i in range(3)]
    for size, share in zip(sizes, [*noise, 0], strict=True):
        updates, epochs, seconds = (cost[size] for cost in costs)
        run.log({f"updates/{size}": updates, f"epochs/{size}": epochs})
        print(
            f"{size:4} images: loss {TARGET} after {updates:3.0f} updates, "
            f"{epochs:6.2f} epochs, {seconds:.2f} s; noise {share:.2f}"
        )
    few, short, cheap = (first(cost) for cost in costs)
    print(
        f"\nMini-batches of {few} need the fewest updates, of {short} the\n"
        f"fewest epochs, of {cheap} the least CPU time. The noise of one "
        f"image's\ngradient is {noise[0]:.1f} times the gradient of all images."
    )
    draw(run, curves, noise)


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
