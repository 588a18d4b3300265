"""How do I see that a learning rate is too low, right or too high?

A network learns the digits from the same weights at learning rates from 0.0001
to 10. The figure shows the loss, the size of the steps relative to the weights
(`UpdateRatioLogger`), and the finding of `TrainingDoctor`.

    python examples/learning_rate.py
"""

from dataclasses import dataclass
from typing import Any

import keras
import lab
import numpy as np

from keras_ext import callbacks, layers, optimizers

Array = np.ndarray
RATES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
QUICK = (1e-4, 0.1, 3.0)
COLOURS = ("#0072B2", "#009E73", "#D55E00", "#000000")
MARKS = {
    "learning rate too low": ("v", COLOURS[0]),
    "nothing wrong": ("o", COLOURS[1]),
    "learning rate too high": ("^", COLOURS[2]),
}


@dataclass
class Training:
    """One learning rate; `ratios` are |change of w| / |w| in `steps`."""

    loss: Array
    accuracy: float
    steps: Array
    ratios: Array
    problem: str
    advice: str

    @property
    def moved(self) -> float:
        """The largest of the measured steps."""
        return float(np.max(self.ratios))


def build() -> keras.Model:
    """Return 64-64-64-10 with ReLU."""
    keras.utils.set_random_seed(1)
    how: Any = {"activation": "relu", "kernel_initializer": "he_normal"}
    hidden = [layers.Dense(64, name=x, **how) for x in ("first", "second")]
    out = layers.Dense(10, "softmax", name="out")
    model = keras.Sequential([keras.Input((64,)), *hidden, out])
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def sweep(run: lab.Run) -> dict[float, Training]:
    """Train at each learning rate."""
    train, validation = lab.digits()
    model, found = build(), {}
    start = model.get_weights()
    doctor = callbacks.TrainingDoctor(on_finding=lambda finding: None)
    ratios = callbacks.UpdateRatioLogger(5)
    for rate in QUICK if run.quick else RATES:
        logger = run.callbacks(f"learning rate {rate:g}")
        keras.utils.set_random_seed(1)
        model.set_weights(start)
        model.optimizer.learning_rate = rate
        logs = model.fit(
            *train,
            epochs=4 if run.quick else 8,
            validation_data=validation,
            callbacks=[ratios, doctor, *logger],
            verbose=0,
        ).history
        first = [f for f in doctor.findings if f.severity != "info"][:1]
        found[rate] = Training(
            np.array(logs["loss"]),
            logs["val_accuracy"][-1],
            ratios.steps["step"],
            ratios.steps["update_ratio/global"],
            first[0].problem.replace("_", " ") if first else "nothing wrong",
            first[0].remedies[0].advice if first else "",
        )
    return found


def draw(run: lab.Run, found: dict[float, Training], rates: Array) -> None:
    """Draw loss and steps at some learning rates, and accuracy at all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.6), layout="constrained")
    axes = figure.subplot_mosaic([["loss", "step"], ["doctor", "doctor"]])
    loss, step, below = (axes[key] for key in ("loss", "step", "doctor"))
    for color, rate in zip(COLOURS, rates, strict=False):
        one, how = found[rate], {"color": color, "label": f"{rate:g}"}
        loss.semilogy(range(1, len(one.loss) + 1), one.loss, "o-", **how)
        ratios = np.where(one.ratios > 0, one.ratios, np.nan)
        step.semilogy(one.steps, ratios, ".-", lw=1, **how)
    loss.set_title("Too low crawls, too high jumps")
    loss.set(xlabel="epoch", ylabel="training loss")
    step.set_title("The relative size of the steps")
    step.set(xlabel="step", ylabel="|change of w| / |w|")
    step.legend(title="learning rate", ncols=2, loc=(0.4, 0.13))
    scores = [one.accuracy for one in found.values()]
    below.semilogx(list(found), scores, color="0.7", zorder=0)
    for finding in sorted({one.problem for one in found.values()}):
        same = {r: one for r, one in found.items() if one.problem == finding}
        scores = [one.accuracy for one in same.values()]
        mark, color = MARKS.get(finding, ("s", COLOURS[3]))
        below.plot(list(same), scores, mark, ms=9, color=color, label=finding)
        for rate, one in same.items():
            where = (rate, one.accuracy + 0.06)
            below.annotate(f"{one.moved:.0e}", where, ha="center")
    below.set_title("The doctor's finding; numbers: the largest step")
    below.set(xlabel="learning rate", ylabel="accuracy", ylim=(0, 1.15))
    below.legend()
    run.save(figure)


def main(run: lab.Run) -> None:
    """Train at each learning rate; print too low, right and too high."""
    found = sweep(run)
    for rate, one in found.items():
        print(
            f"learning rate {rate:<7g} accuracy {one.accuracy:.2f}, steps up "
            f"to {one.moved:.0e}; the doctor finds: {one.problem}"
        )
        run.log({f"accuracy/{rate:g}": one.accuracy})
    best = max(found, key=lambda rate: found[rate].accuracy)
    good = [r for r in found if found[r].accuracy > 0.8 * found[best].accuracy]
    steps = [found[rate].moved for rate in good]
    same = {x: [r for r in found if found[r].problem == x] for x in MARKS}
    low, ok, high = same.values()
    missed = [r for r in ok if r not in good]
    print(
        f"\nThe best learning rate is {best:g}; {min(good):g} to "
        f"{max(good):g} also work, with steps up to {min(steps):.0e} or "
        f"{max(steps):.0e} of the weights' length.\nThe doctor finds too low "
        f"at {low}, too high at {high}, and misses {missed or 'none'}."
    )
    for rate in (*low[-1:], *high[:1]):
        print(f"At {rate:g} the doctor advises: {found[rate].advice}")
    above = [r for r in found if r > max(good)]
    draw(run, found, np.unique([*low[-1:], best, *above[:1], *above[-1:]]))


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
