"""Is a network with dropout an ensemble of the networks that dropout leaves?

Each step of dropout trains a thinned network. At inference one network with
scaled outputs stands for the mean of all thinned networks (Srivastava et al.,
2014, https://jmlr.org/papers/v15/srivastava14a.html). The example compares the
mean probabilities of N thinned networks (`training=True`) with the scaled
network, and with N networks trained apart. Without hidden layers the scaled
network is exactly the geometric mean.

    python examples/dropout_as_ensemble.py --figure ensemble.png
"""

from typing import Any

import keras
import lab
import numpy as np
from keras import ops
from matplotlib.figure import Figure

import keras_ext

Array = np.ndarray
RATE = 0.5
MEASURES = {"accuracy": "Accuracy", "likelihood": "Log-likelihood"}


def build(seed: int, rate: float, inverted: bool = True) -> keras.Model:
    """Return a network, with dropout unless the drop rate is 0."""
    keras.utils.set_random_seed(seed)
    layers: list[Any] = [keras.Input((64,))]
    for i in range(2):
        layers.append(keras_ext.layers.Dense(256, "relu", name=f"hidden_{i}"))
        layers.append(keras_ext.layers.Dropout(rate, seed=i, inverted=inverted))
    layers.append(keras_ext.layers.Dense(10, "softmax", name="out"))
    model = keras.Sequential(layers)
    model.compile(
        keras_ext.optimizers.Adam(), "sparse_categorical_crossentropy"
    )
    return model


def predict(model: keras.Model, x: Array, training: bool = False) -> Array:
    """Return probabilities of shape `(images, 10)`."""
    return ops.convert_to_numpy(model(x, training=training))


def measure(p: Array, y: Array) -> dict[str, float]:
    """Return accuracy, and the mean log-likelihood in nats."""
    likelihood = np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()
    return {"accuracy": (p.argmax(1) == y).mean(), "likelihood": likelihood}


def geometric(members: Array, axis: int) -> Array:
    """Return the geometric mean of probabilities, with the sum 1 again."""
    p = np.exp(np.log(members + 1e-12).mean(axis))
    return p / p.sum(-1, keepdims=True)


def averaged(members: Array, y: Array, mean: Any) -> dict[int, list[dict]]:
    """Measure means of N random members, 20 times; the last N means all."""
    rng = np.random.default_rng(1)
    total = len(members)
    sizes = [2**i for i in range(total.bit_length())]
    draws = {n: 20 if n < total else 1 for n in sizes}
    return {
        n: [
            measure(mean(rng.permutation(members)[:n], 0), y)
            for _ in range(draws[n])
        ]
        for n in sizes
    }


def classic_form(model: keras.Model) -> keras.Model:
    """Return the same network with dropout that scales at inference."""
    classic = build(0, RATE, inverted=False)
    weights = model.get_weights()
    for i in 2, 4:  # kernels that follow a dropout
        weights[i] = weights[i] / (1 - RATE)
    classic.set_weights(weights)
    return classic


def draw(scaled: dict, curves: dict[str, dict[int, list]], names: Any) -> Any:
    """Draw both measures against N, with standard deviations."""
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    for ax, key in zip(figure.subplots(1, 2), MEASURES, strict=True):
        ax.axhline(scaled[key], color="k", ls="--", label=names)
        for (name, curve), marker in zip(curves.items(), "osD", strict=True):
            values = [[v[key] for v in draws] for draws in curve.values()]
            mean, spread = map(np.mean, values), map(np.std, values)
            style = {"marker": marker, "ms": 5, "capsize": 3, "label": name}
            ax.errorbar([*curve], [*mean], [*spread], **style)
        ax.set(xscale="log", xlabel="N, networks averaged")
        ax.set(title=MEASURES[key])
        ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(loc="lower right")
    return figure


def main(run: lab.Run) -> None:
    """Train, compare thinned networks with an ensemble, draw."""
    train, (x, y) = lab.digits(200)
    epochs, thinned, apart = (15, 16, 2) if run.quick else (40, 128, 8)

    def trained(seed: int, rate: float) -> keras.Model:
        model = build(seed, rate)
        logger = run.callbacks(f"drop rate {rate}, seed {seed}")
        model.fit(*train, epochs=epochs, callbacks=logger, verbose=0)
        return model

    model = trained(0, RATE)
    scaled = measure(predict(model, x), y)
    fresh, classic = build(0, RATE), classic_form(model)
    fresh.set_weights(model.get_weights())  # draws from the start, as classic
    difference = max(
        np.abs(predict(fresh, x, t) - predict(classic, x, t)).max()
        for t in (True, False)
    )
    members = np.stack([predict(model, x, True) for _ in range(thinned)])
    nets = np.stack([predict(trained(i, 0.0), x) for i in range(apart)])
    curves = {
        "thinned networks": averaged(members, y, np.mean),
        "thinned with geometric mean": averaged(members, y, geometric),
        "trained apart without dropout": averaged(nets, y, np.mean),
    }
    one = curves["thinned networks"][1]
    alone = {k: np.mean([m[k] for m in one]) for k in MEASURES}
    last = {name: [*curve.values()][-1][0] for name, curve in curves.items()}
    for name, m in ({"scaled": scaled, "one": alone} | last).items():
        print(f"{name:30}{m['accuracy']:6.3f}{m['likelihood']:8.3f}")
    thin, root, own = last.values()
    gaps = [abs(m["likelihood"] - scaled["likelihood"]) for m in (thin, root)]
    better = own["likelihood"] > max(scaled["likelihood"], thin["likelihood"])
    print(
        f"One thinned network has an accuracy of {alone['accuracy']:.3f}, the "
        f"mean of {thinned} {thin['accuracy']:.3f}, the scaled network "
        f"{scaled['accuracy']:.3f}.\nIn log-likelihood mean and scaled network "
        f"differ by {gaps[0]:.3f}, with the geometric mean by {gaps[1]:.3f}.\n"
        f"{apart} networks trained apart are {'' if better else 'not '}better. "
        f"Classic and inverted form differ by {difference:.0e}."
    )
    run.log({f"{k}/{n}": m[k] for n, m in last.items() for k in MEASURES})
    run.save(draw(scaled, curves, "the scaled network"))


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
