"""What do the gradients of a GAN's two networks show when one of them wins?

The generator G may minimize log(1 - D(G(z))), which saturates, or -log D(G(z)).
Their slopes by D's logit are -D and D - 1. So if the discriminator D wins, the
first should fade (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661).
"""

from typing import Any

import keras
import lab
import numpy as np
from keras import ops
from matplotlib.figure import Figure

import keras_ext

BACKEND = keras.config.backend()
NOISE = 16
LOSS = keras_ext.losses.BinaryCrossentropy(from_logits=True)
RUNS = {
    "Balance": (1e-3, False),
    "Fast D and saturating loss of G": (1e-2, True),
    "Fast D and other loss of G": (1e-2, False),
}


def network(name: str, inputs: int, outputs: int, last: Any) -> keras.Model:
    """Return a generator or a discriminator."""
    dense = keras_ext.layers.Dense
    hidden = [dense(128, "leaky_relu", name=f"hidden_{i}") for i in range(2)]
    layers = [keras.Input((inputs,)), *hidden, dense(outputs, last, name="out")]
    return keras.Sequential(layers, name=name)


class GAN(keras.Model):
    """G has the learning rate 1e-3, D `rate`; a custom training step."""

    def __init__(self, rate: float, saturating: bool):
        super().__init__()
        self.generator = network("generator", NOISE, 64, "sigmoid")
        self.discriminator = network("discriminator", 64, 1, None)
        self.saturating = saturating
        self.seed = keras.random.SeedGenerator(1)
        self.drawing = keras_ext.optimizers.Adam(1e-3, beta_1=0.5)
        self.drawing.build(self.generator.trainable_variables)
        # JAX passes only the model's variables to the training step.
        self.drawing_state = self.drawing.variables
        self.built = True
        self.compile(keras_ext.optimizers.Adam(rate, beta_1=0.5))
        self.optimizer.build(self.discriminator.trainable_variables)

    def answer(self, images: Any, real: bool) -> Any:
        """Return D's loss if `real` is the right answer."""
        logits = self.discriminator(images)
        return LOSS(ops.full_like(logits, float(real)), logits)

    def step(self, data: Any) -> dict[str, Any]:
        """Train both on a batch; the same on every backend."""
        real = keras.utils.unpack_x_y_sample_weight(data)[0]
        noise = keras.random.normal((ops.shape(real)[0], NOISE), seed=self.seed)

        def judging() -> Any:
            right = self.answer(self.generator(noise), False)
            return right + self.answer(real, True)

        def drawing() -> Any:
            loss = self.answer(self.generator(noise), not self.saturating)
            return -loss if self.saturating else loss

        weights = self.discriminator.trainable_variables
        self.optimizer.apply(gradients(judging, weights, self), weights)
        weights = self.generator.trainable_variables
        self.drawing.apply(gradients(drawing, weights, self), weights)
        logits = self.discriminator(self.generator(noise))
        return {"D(G(z))": ops.mean(ops.sigmoid(logits))}

    def train_step(self, *args: Any) -> Any:
        """Train on a batch; JAX passes the state in and takes it back."""
        if BACKEND != "jax":
            return self.step(*args)
        mine = self.trainable_variables, self.non_trainable_variables
        groups = *mine, self.optimizer.variables, self.metrics_variables
        pairs = zip(sum(groups, []), sum(map(list, args[0]), []), strict=True)
        with keras.StatelessScope(list(pairs)):
            logs = self.step(args[1])
            return logs, tuple([v.value for v in group] for group in groups)


def gradients(loss: Any, weights: list[Any], gan: GAN) -> Any:
    """Return the gradients of a loss, on the backend in use."""
    if BACKEND == "torch":
        from torch import autograd

        return list(autograd.grad(loss(), [w.value for w in weights]))
    if BACKEND == "tensorflow":
        from tensorflow import GradientTape

        with GradientTape() as tape:
            value = loss()
        return tape.gradient(value, weights)
    from jax import grad

    def of(values: list[Any]) -> Any:
        now = [(v, v.value) for v in gan.variables]
        with keras.StatelessScope([*now, *zip(weights, values, strict=True)]):
            return loss()

    return grad(of)([w.value for w in weights])


def main(run: lab.Run) -> None:
    """Train in balance and out of it, compare the gradients, draw."""
    (x, _), _ = lab.digits(256 if run.quick else None)
    figure = Figure(figsize=(9.5, 5), layout="constrained")
    axes = figure.subplots(2, 3, height_ratios=(5, 2), sharey="row")
    results = {}
    for (name, how), (top, bottom) in zip(RUNS.items(), axes.T, strict=True):
        keras.utils.set_random_seed(1)
        gan = GAN(*how)
        logger = keras_ext.callbacks.GradientNormLogger(5, vanishing=None)
        watch = [logger, *run.callbacks(name)]
        fit = gan.fit(x, None, 64, epochs=25, callbacks=watch, verbose=0)
        fooled = np.median(fit.history["D(G(z))"])
        top.set(title=f"{name}\nD(G(z)) is {fooled:.1g}", xlabel="step")
        for part in "generator", "discriminator":
            layers = [v for k, v in logger.steps.items() if f"/{part}/" in k]
            norm = np.sqrt(np.sum(np.square(layers), axis=0))
            top.semilogy(logger.steps["step"], norm, label=part, lw=1)
            results[f"{part}/{name}"] = np.median(norm[len(norm) // 2 :])
        drawn = gan.generator(keras.random.normal((5, NOISE), seed=1))
        images = ops.convert_to_numpy(drawn).reshape(5, 8, 8)
        bottom.imshow(np.hstack([*np.pad(images, 1)[1:-1]]), "gray_r")
        bottom.set(xticks=[], yticks=[], title="What G draws in the end")
    axes[0, 0].set(ylabel="gradient norm (L2)")
    axes[0, 2].legend()
    g, d, fast, _, other, _ = results.values()
    verb = "fades" if fast < g / 100 else "does not fade"
    print(
        f"Gradient norms in balance: {g:.2g} (G) and {d:.2g} (D). With a fast "
        f"D,\nG's {verb} under the saturating loss, to {fast:.1e}; under the "
        f"other loss it is {other:.2g}."
    )
    run.log(results)
    run.save(figure)


if __name__ == "__main__":
    with lab.example(__doc__) as run:
        main(run)
