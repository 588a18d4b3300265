"""How deep a network can each initialization carry?

Plain networks of 2 to 50 hidden layers start from zero, small random, Xavier's
and He's weights. `ActivationLogger` and `GradientNormLogger` measure the scale
in each layer on the way forward and back. Training shows which networks learn.

    python examples/initialization_depth.py
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import lab
import numpy as np

from keras_ext import callbacks, doctor, initializers, layers, optimizers

Array = np.ndarray
DEPTHS = (2, 5, 15, 50)
QUICK = (2, 20)
ACTIVATIONS = ("relu", "tanh")
WEIGHTS: dict[str, Callable[[], keras.initializers.Initializer]] = {
    "zero": initializers.Zeros,
    "small random": partial(initializers.RandomNormal, stddev=0.01),
    "Xavier": initializers.XavierNormal,
    "He": initializers.HeNormal,
}
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00")
EPOCHS = 4
LEARNED = 0.3  # validation accuracy; chance is 0.1


def build(depth: int, activation: str) -> keras.Model:
    """Return that many hidden layers of 32 units."""
    model = keras.Sequential([keras.Input((64,))])
    for i in range(depth):
        model.add(layers.Dense(32, activation, name=f"hidden_{i + 1}"))
    model.add(layers.Dense(10, "softmax", name="out"))
    loss = "sparse_categorical_crossentropy"
    sgd = optimizers.SGD(0.1, global_clipnorm=1.0)
    model.compile(sgd, loss, metrics=["accuracy"])
    return model


def draw_weights(model: keras.Model, name: str) -> None:
    """Give each layer new weights, and biases of zero."""
    keras.utils.set_random_seed(1)
    for layer in model.layers:
        layer.kernel.assign(WEIGHTS[name]()(layer.kernel.shape))
        layer.bias.assign(np.zeros(layer.bias.shape))


def study(run: lab.Run, activation: str, depth: int) -> dict[str, Any]:
    """Return the results of each initialization.

    `accuracy` is on the validation data. `forward` is the outputs' standard
    deviation, `back` the gradient norm of each hidden layer in the first step.
    """
    train, validation = lab.digits()
    model = build(depth, activation)  # all share what is compiled
    scales = callbacks.ActivationLogger(10, saturation=False)
    norms = callbacks.GradientNormLogger(10, vanishing=None, exploding=None)
    names, found = [layer.name for layer in model.layers[:-1]], {}
    for name in WEIGHTS:
        draw_weights(model, name)
        model.fit(
            *train,
            batch_size=64,
            epochs=EPOCHS,
            callbacks=[scales, norms, *run.callbacks(f"{name}, {depth}")],
            verbose=0,
        )
        steps = scales.steps | norms.steps
        found[name] = {
            "accuracy": model.evaluate(*validation, 360, verbose=0)[1],
            "forward": [steps[f"activation_std/{n}"][0] for n in names],
            "back": [steps[f"grad_norm/{n}"][0] for n in names],
        }
    return found


def factor(scales: list[float]) -> float:
    """Return by what a scale is multiplied from layer to layer."""
    return float((scales[-1] / scales[0]) ** (1 / (len(scales) - 1)))


def draw(run: lab.Run, found: dict[str, dict[int, Any]]) -> None:
    """Draw the scales of the deepest ReLU network, and what was learned."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.6), layout="constrained")
    above, below = figure.subplots(2, 2)
    floor = 1e-12  # what is less is drawn there
    depth, deepest = list(found["relu"].items())[-1]
    for name, color in zip(WEIGHTS, COLOURS, strict=True):
        how = {"color": color, "marker": "o", "ms": 4, "label": name}
        for axis, key in zip(above, ("forward", "back"), strict=True):
            values = np.maximum(deepest[name][key], floor)
            axis.semilogy(range(1, depth + 1), values, **how)
            axis.set(xlabel="hidden layer", ylim=(floor / 5, 10))
        for axis, activation in zip(below, found, strict=False):
            depths = list(found[activation])
            scores = [found[activation][d][name]["accuracy"] for d in depths]
            axis.semilogx(depths, scores, **how)
            axis.set_xticks(depths, [str(d) for d in depths])
            axis.minorticks_off()
            axis.set(title=f"What {activation} networks learn", ylim=(0, 1))
            axis.set(xlabel="hidden layers", ylabel="validation accuracy")
    above[0].set_title(f"The way forward through {depth} ReLU layers")
    above[0].set_ylabel("outputs' standard deviation")
    above[1].set(title="The way back", ylabel="gradient norm")
    below[0].legend()
    run.save(figure)


def main(run: lab.Run) -> None:
    """Train all; print how deep each initialization reaches, and why."""
    depths = QUICK if run.quick else DEPTHS
    (x, y), _ = lab.digits(64)
    found: dict[str, dict[int, Any]] = {}
    for activation in ACTIVATIONS[: 1 if run.quick else 2]:
        one = {depth: study(run, activation, depth) for depth in depths}
        found[activation] = one
        model = build(depths[-1], activation)
        print(f"{activation}, {depths} layers: accuracy; check of the deepest")
        reach = {}
        for name in WEIGHTS:
            scores = [one[depth][name]["accuracy"] for depth in depths]
            learned = np.flatnonzero(np.array(scores) > LEARNED)
            reach[name] = depths[learned[-1]] if len(learned) else 0
            draw_weights(model, name)
            findings = doctor.check(model, x, y)
            problems = [f.problem for f in findings] or ["healthy"]
            print(f"  {name:13}", *(f"{s:.2f}" for s in scores), *problems)
            run.log({f"{activation}/{name}": reach[name]})
        print("  deepest network that learns:", reach)
    deep = found["relu"][depths[-1]]
    xavier, he = (factor(deep[name]["forward"]) for name in ("Xavier", "He"))
    print(
        f"\nA ReLU passes half of its inputs. So each layer keeps "
        f"{xavier:.2f} of the outputs'\nscale with Xavier's weights, "
        f"{he:.2f} with He's; in theory 0.71 and 1."
    )
    draw(run, found)


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
