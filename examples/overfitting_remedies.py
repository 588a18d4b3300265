"""Which remedy helps a network that overfits?

A network of 26 thousand weights gets 100 digits and learns them by heart. One
in five has a random label. The example tries each remedy alone, with the same
number of steps, and judges it by new digits. Each remedy gets the same images.

    python examples/overfitting_remedies.py --figure overfitting.png
"""

from typing import Any

import keras
import lab
import numpy as np
from matplotlib.figure import Figure

import keras_ext
from keras_ext.layers import BatchNormalization, Dense, Dropout, ReLU

Array = np.ndarray
FEW, BARE = 100, "no remedy"
STOP = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
REMEDIES: dict[str, dict[str, Any]] = {
    BARE: {},
    "5 times the data": {"images": 5 * FEW},
    "dropout 0.5": {"dropout": 0.5},
    "shifted images": {"shifts": True},
    "L1 penalty 0.002": {"penalty": keras_ext.regularizers.L1(0.002)},
    "L2 penalty 0.01": {"penalty": keras_ext.regularizers.L2(0.01)},
    "early stopping": {"callbacks": [STOP]},
    "24 hidden units": {"hidden": (24,)},
    "batch normalization": {"normalize": True},
}


def shifted(x: Array) -> Array:
    """Return the images, also shifted a pixel right, left, down and up."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    places = ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1))
    moved = [padded[:, i : i + 8, j : j + 8] for i, j in places]
    return np.concatenate(moved).reshape(-1, 64)


def build(remedy: dict[str, Any]) -> keras.Model:
    """Return the network, with the parts that a remedy adds."""
    model = keras.Sequential([keras.Input((64,))])
    how: dict[str, Any] = {"kernel_regularizer": remedy.get("penalty")}
    for units in remedy.get("hidden", (128, 128)):
        model.add(Dense(units, **how))
        if "normalize" in remedy:
            model.add(BatchNormalization(momentum=0.9))
        model.add(ReLU())
        if "dropout" in remedy:
            model.add(Dropout(remedy["dropout"]))
    model.add(Dense(10, "softmax", **how))
    loss = keras_ext.losses.SparseCategoricalCrossentropy()
    model.compile(keras_ext.optimizers.Adam(0.003), loss)
    return model


def judge(model: keras.Model, x: Array, y: Array) -> tuple[float, float]:
    """Return cross-entropy and accuracy, without dropout and penalties."""
    p = keras.ops.convert_to_numpy(model(x, training=False))
    loss = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()
    return loss, (p.argmax(1) == y).mean()


def train(name: str, seed: int, doctor: Any, logs: list) -> tuple[dict, list]:
    """Return the history, and the scores of training and new digits."""
    remedy, random = REMEDIES[name], np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    (x, y), new = lab.digits(seed=seed)
    watched = x[1000:], y[1000:]
    at_random = random.random(len(y)) < 0.2
    y = np.where(at_random, random.integers(0, 10, len(y)), y)
    few, images = (x[:FEW], y[:FEW]), remedy.get("images", FEW)
    x, y = x[:images], y[:images]
    callbacks = [doctor] if name == BARE else remedy.get("callbacks", [])
    if "shifts" in remedy:
        x, y = shifted(x), np.tile(y, 5)
    model = build(remedy)
    history = model.fit(
        *(x, y),
        batch_size=20,
        validation_data=watched if callbacks else None,
        validation_batch_size=len(watched[0]),
        epochs=30 * FEW // len(x),
        callbacks=[*callbacks, *logs],
        verbose=0,
    )
    return history.history, [judge(model, *few), judge(model, *new)]


def draw(histories: list, results: dict[str, Array], run: lab.Run) -> None:
    """Draw the bare network's losses by epoch, and the gap by remedy."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    order = sorted(results, key=lambda name: -results[name][:, 1, 0].mean())
    ends = np.array([results[name][:, :, 0] for name in order])
    keys, colors = ("loss", "val_loss"), ("#0072b2", "#d55e00")
    for i, label in enumerate(("training", "new digits")):
        look = {"color": colors[i], "label": label, "capsize": 3}
        curves = np.array([history[keys[i]] for history in histories])
        epochs = np.arange(1, curves.shape[1] + 1)
        left.errorbar(epochs, curves.mean(0), curves.std(0), **look)
        mean, spread = ends[:, :, i].mean(1), ends[:, :, i].std(1)
        right.errorbar(mean, order, xerr=spread, fmt="o", **look)
    right.hlines(order, *ends.mean(1).T, color="#999999", zorder=0)
    left.set(title=BARE.capitalize(), xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    right.set(title=f"Lowest loss on new digits: {order[-1]}", xlim=(0, None))
    right.set_xlabel("cross-entropy after training")
    run.save(figure)


def main(run: lab.Run) -> None:
    """Train with each remedy, print which helped, and draw it."""
    seeds = range(2 if run.quick else 4)
    doctor = keras_ext.callbacks.TrainingDoctor
    doctors = [doctor(on_finding=lambda f: None) for _ in seeds]
    results: dict[str, Array] = {}
    helped, histories = [], []
    for name in list(REMEDIES)[: 3 if run.quick else None]:
        judged = []
        for seed in seeds:
            logs = run.callbacks(f"{name}, seed {seed}")
            history, losses = train(name, seed, doctors[seed], logs)
            histories += [history] if name == BARE else []
            judged.append(losses)
        # By seed; of training and new digits; loss and accuracy.
        results[name] = np.array(judged)
        (seen, _), (loss, accuracy) = results[name].mean(0)
        drops = (results[BARE] - results[name])[:, 1, 0]
        drop, error = drops.mean(), drops.std(ddof=1) / len(drops) ** 0.5
        if drop > 2 * error:
            helped.append((drop, f"{name} by {drop:.2f} ± {error:.2f}"))
        words = f"loss {seen:.2f} in training, {loss:.2f} on new digits"
        print(f"{name:20} {words}, accuracy {accuracy:.2f}")
        run.log({f"val_loss/{name}": loss, f"gap/{name}": loss - seen})
    found = [f for d in doctors for f in d.findings if "overfit" in f.problem]
    message = found[0].message if found else "nothing"
    print(f"Doctor, {BARE}, {len(found)} of {len(seeds)} times: {message}")
    words = ", ".join(text for _, text in sorted(helped, reverse=True))
    print(f"Lower loss on new digits, by over 2 errors: {words or 'nothing'}.")
    draw(histories, results, run)


if __name__ == "__main__":
    with lab.example(__doc__) as example:
        main(example)
