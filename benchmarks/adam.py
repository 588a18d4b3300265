"""CPU time of `keras_ext.optimizers.Adam` against `keras.optimizers.Adam`.

Run with `python -m benchmarks.adam`; `KERAS_BACKEND` chooses the backend. It
takes some minutes and prints a Markdown table: the ratio of the optimizer's
`apply` alone on several sets of weights, compiled as `fit` compiles it, and
that of a whole `fit`. In brackets the lowest and highest median of one build.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's idle threads would spin, which counts as CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import keras
import numpy as np

import keras_ext
from benchmarks import paired


def mlp_shapes(n_in, width, depth, n_out):
    sizes = [n_in, *[width] * depth, n_out]
    shapes = []
    for rows, columns in zip(sizes[:-1], sizes[1:], strict=True):
        shapes += [(rows, columns), (columns,)]
    return shapes


# Name, shapes, and updates per timed step, so that a step takes long enough.
WEIGHTS = [
    ("1.2 M weights, 784-512x4-10", mlp_shapes(784, 512, 4, 10), 10),
    ("12.2 M weights, 784-1900x4-10", mlp_shapes(784, 1900, 4, 10), 2),
    ("100 tensors of 2,000", [(2000,)] * 100, 10),
]


def apply_step(optimizer_class, shapes, repeats):
    """Returns a function that updates the weights `repeats` times."""
    rng = np.random.default_rng(0)
    optimizer = optimizer_class()
    variables = [keras.Variable(rng.normal(size=s) * 0.05) for s in shapes]
    grads = [
        keras.ops.convert_to_tensor(rng.normal(size=s), "float32")
        for s in shapes
    ]
    optimizer.build(variables)
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # As in `fit`, the gradients arise inside the compiled function. They
        # are read anew each time, so that nothing is computed ahead.
        sources = [tf.Variable(grad) for grad in grads]

        @tf.function
        def step():
            for _ in tf.range(repeats):
                optimizer.apply([s.read_value() for s in sources], variables)

        return step

    if backend == "jax":
        import jax

        apply = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
        state = [
            [v.value for v in optimizer.variables],
            [v.value for v in variables],
        ]

        def update():
            state[1], state[0] = apply(state[0], grads, state[1])
            jax.block_until_ready(state)

    else:

        def update():
            optimizer.apply(grads, variables)

    def step():
        for _ in range(repeats):
            update()

    return step


def fit_step(optimizer_class, batches=30, batch_size=128):
    """Returns a function that trains the MLP for one epoch."""
    rng = np.random.default_rng(0)
    x = rng.random((batches * batch_size, 784), dtype="float32")
    y = rng.integers(0, 10, len(x))
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((784,))]
        + [keras.layers.Dense(512, activation="relu") for _ in range(4)]
        + [keras.layers.Dense(10)]
    )
    model.compile(
        optimizer_class(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.fit(
        x, y, batch_size=batch_size, shuffle=False, verbose=0
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=20)
    args = parser.parse_args()
    new, old = keras_ext.optimizers.Adam, keras.optimizers.Adam

    cases = [
        (f"`apply`, {name}", apply_step, (shapes, repeats))
        for name, shapes, repeats in WEIGHTS
    ]
    cases.append(("`fit`, 784-512x4-10, batch 128, 30 steps", fit_step, ()))
    rows = []
    for name, build, arguments in cases:
        comparison = paired.compare(
            lambda b=build, a=arguments: b(new, *a),
            lambda b=build, a=arguments: b(old, *a),
            builds=args.builds,
            pairs=args.pairs,
        )
        rows.append((name, comparison))
    print(paired.table(rows, f"Adam on {keras.config.backend()}"))


if __name__ == "__main__":
    main()
