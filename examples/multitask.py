"""What do loss weights do to the layers that several tasks share?

A network answers three questions about a handwritten digit: which digit, even
or not, and how much ink (standardized). Two layers serve all three tasks. Each
task changes these layers with the gradient of its own loss, times its weight.
The example varies the weight of the ink's loss, and also trains each task
alone.

    python examples/multitask.py --figure multitask.png
"""

import keras
import lab
import numpy as np
from matplotlib.figure import Figure

import keras_ext

Array = np.ndarray
TASKS = ("digit", "even", "ink")
SCORES = {"digit": "accuracy", "even": "accuracy", "ink": "R²"}
SHARED = ["shared_0", "shared_1"]
INK = (0.01, 1, 100)
SETTINGS: dict[str, dict[str, float]] = {
    f"{task} alone": {t: float(t == task) for t in TASKS} for task in TASKS
}
for weight in INK:
    SETTINGS[f"ink x {weight:g}"] = {"digit": 1, "even": 1, "ink": weight}


def build(weights: dict[str, float]) -> keras.Model:
    """Return two shared layers with three heads."""
    dense = keras_ext.layers.Dense
    inputs = keras.Input((64,))
    x = dense(64, "relu", name="shared_0")(inputs)
    x = dense(64, "relu", name="shared_1")(x)
    model = keras.Model(
        inputs,
        {
            "digit": dense(10, "softmax", name="digit")(x),
            "even": dense(1, "sigmoid", name="even")(x),
            "ink": dense(1, name="ink")(x),
        },
    )
    model.compile(
        keras_ext.optimizers.Adam(2e-3),
        loss={
            "digit": keras_ext.losses.SparseCategoricalCrossentropy(),
            "even": keras_ext.losses.BinaryCrossentropy(),
            "ink": keras_ext.losses.MeanSquaredError(),
        },
        loss_weights=weights,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def targets(x: Array, y: Array, ink: tuple[float, float]) -> dict[str, Array]:
    """Return the targets of each head; `ink` has its mean and deviation."""
    amount = (x.mean(1) - ink[0]) / ink[1]
    return {"digit": y, "even": 1.0 - y[:, None] % 2, "ink": amount[:, None]}


def scores(answers: dict[str, Array], true: dict[str, Array]) -> list[float]:
    """Return the accuracies, and the share of variance explained."""
    error = np.square(answers["ink"] - true["ink"]).mean() / true["ink"].var()
    return [
        (answers["digit"].argmax(1) == true["digit"]).mean(),
        ((answers["even"] > 0.5) == true["even"]).mean(),
        1 - error,
    ]


def draw(norms: dict[str, list[float]], score: dict[str, Array]) -> Figure:
    """Draw the first gradients, and the scores by the ink's weight."""
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    colors = ["C0", "C1", "C2", "0.6", "0.6", "0.6"]
    left.barh(list(norms), [np.mean(v) for v in norms.values()], color=colors)
    left.set(title="The tasks' gradients in the shared layers", xscale="log")
    left.set(xlabel="gradient norm (L2), first step")
    left.invert_yaxis()
    together = np.array([score[f"ink x {w:g}"] for w in INK])
    for i, (task, marker) in enumerate(zip(TASKS, "osD", strict=True)):
        mean, spread = together[..., i].mean(1), together[..., i].std(1)
        label = f"{task}, {SCORES[task]}"
        right.errorbar(INK, mean, spread, marker=marker, capsize=3, label=label)
        alone = score[f"{task} alone"][:, i].mean()
        right.axhline(alone, color=f"C{i}", ls=":")
    right.set(title="Scores (dotted: each task alone)", xscale="log")
    right.set(xlabel="weight of the ink's loss", ylim=(0, 1.02))
    right.legend(loc="lower right")
    return figure


def main(run: lab.Run) -> None:
    """Train alone and together, compare gradients and scores, draw."""
    (x, y), (vx, vy) = lab.digits(300)
    ink = float(x.mean(1).mean()), float(x.mean(1).std())
    true, wanted = targets(x, y, ink), targets(vx, vy, ink)
    seeds, epochs = (1, 12) if run.quick else (3, 20)
    norms: dict[str, list[float]] = {}
    score: dict[str, Array] = {}
    for name, weights in SETTINGS.items():
        model = build(weights)
        fresh = [v.numpy() for v in model.optimizer.variables]
        found = []
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            model.set_weights(build(weights).get_weights())
            for v, value in zip(model.optimizer.variables, fresh, strict=True):
                v.assign(value)
            logger = keras_ext.callbacks.GradientNormLogger(layers=SHARED)
            model.fit(
                x,
                true,
                batch_size=32,
                epochs=epochs,
                callbacks=[logger, *run.callbacks(f"{name}, seed {seed}")],
                verbose=0,
            )
            first = [logger.steps[f"grad_norm/{n}"][0] for n in SHARED]
            norms.setdefault(name, []).append(np.hypot(*first))
            found.append(scores(model.predict(vx, verbose=0), wanted))
        score[name] = np.array(found)
    for name, values in score.items():
        means = values.mean(0).round(2)
        print(f"{name:12} norm {np.mean(norms[name]):6.2f}, scores {means}")
    digit, heavy = score["digit alone"][:, 0], score[f"ink x {INK[-1]}"][:, 0]
    together = score[f"ink x {INK[1]}"]
    alone = [score[f"{t} alone"][:, i].mean() for i, t in enumerate(TASKS)]
    best = [t for i, t in enumerate(TASKS) if together[:, i].mean() > alone[i]]
    share = np.mean(norms["ink alone"]) / np.mean(norms["digit alone"])
    print(
        f"The ink's gradient in the shared layers is {share:.1f} times the "
        f"digit's, before its weight.\nWith the weight {INK[-1]} the digit's "
        f"accuracy is {heavy.mean():.2f}; alone it is {digit.mean():.2f}.\n"
        f"Better together than alone, at equal weights: "
        f"{', '.join(best) or 'none of the three'}."
    )
    run.log({f"norm/{k}": float(np.mean(v)) for k, v in norms.items()})
    run.log({f"digit/{k}": v[:, 0].mean() for k, v in score.items()})
    run.save(draw(norms, score))


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
