"""CPU time of the optimizers here against those of the same name in Keras.

    KERAS_BACKEND=tensorflow python -m benchmarks.optimizers [--xla]

It takes some minutes and prints a Markdown table: the ratio of the
optimizer's `apply` alone on several sets of float32 weights, compiled as
`fit` compiles it, and that of a whole `fit` with Adam. In brackets the lowest
and highest median of one build.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's idle threads would spin, which counts as CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import keras
import numpy as np

import keras_ext
from benchmarks import paired, programs


def mlp_shapes(n_in, width, depth, n_out):
    sizes = [n_in, *[width] * depth, n_out]
    shapes = []
    for rows, columns in zip(sizes[:-1], sizes[1:], strict=True):
        shapes += [(rows, columns), (columns,)]
    return shapes


# Name, shapes, and updates per timed step, so that a step takes long enough.
WEIGHTS = [
    ("1.2 M, 784-512x4-10", mlp_shapes(784, 512, 4, 10), 10),
    ("12.2 M, 784-1900x4-10", mlp_shapes(784, 1900, 4, 10), 2),
    ("100 tensors of 2,000", [(2000,)] * 100, 10),
]

# Name, class, arguments, and the limits on TensorFlow: for each of WEIGHTS.
OPTIMIZERS = [
    ("Adam", "Adam", {}, (0.45, 0.45, 0.90)),
    ("AdamW", "AdamW", {}, (0.45, 0.45, 0.90)),
    ("RMSprop", "RMSprop", {}, (0.55, 0.55, 0.90)),
    ("Adagrad", "Adagrad", {}, (0.55, 0.55, 0.90)),
    ("Adagrad, epsilon outside", "Adagrad", {}, (0.55, 0.55, 0.90)),
    ("SGD", "SGD", {}, (0.80, 0.80, 0.90)),
    ("momentum", "SGD", {"momentum": 0.9}, (0.65, 0.65, 0.90)),
    (
        "Nesterov",
        "SGD",
        {"momentum": 0.9, "nesterov": True},
        (0.65, 0.65, 0.90),
    ),
]
# Only ours: the form that needs no check of the sums.
OURS_ONLY = {"Adagrad, epsilon outside": {"epsilon_inside_root": False}}
# On PyTorch with a fused kernel; `paired.NEVER_SLOWER` for the others.
TORCH_LIMITS = {
    "Adam": (0.80, 0.80, 0.80),
    "AdamW": (0.30, 0.30, 0.80),
    "SGD": (0.80, 0.80, 0.80),
    "momentum": (0.80, 0.80, 0.80),
}
FIT_LIMIT = 0.92


def limit(name, index, limits, xla):
    backend = keras.config.backend()
    if backend == "tensorflow" and not xla:
        return limits[index]
    if backend == "torch" and name in TORCH_LIMITS:
        return TORCH_LIMITS[name][index]
    return paired.NEVER_SLOWER


def apply_step(module, name, class_name, options, shapes, repeats, xla=False):
    """Returns a function that updates the weights `repeats` times."""
    rng = np.random.default_rng(0)
    if module is keras_ext:
        options = options | OURS_ONLY.get(name, {})
    optimizer = getattr(module.optimizers, class_name)(**options)
    variables = [
        keras.Variable(rng.normal(size=s) * 0.05, dtype="float32")
        for s in shapes
    ]
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

        @tf.function(jit_compile=xla)
        def update():
            optimizer.apply([s.read_value() for s in sources], variables)

        @tf.function(jit_compile=False)
        def step():
            for _ in tf.range(repeats):
                update()

        step.program = lambda: programs.of_tensorflow(update, xla=xla)
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

        def program():
            return programs.of_jax(apply, state[0], grads, state[1])

    else:
        program = None

        def update():
            optimizer.apply(grads, variables)

    def step():
        for _ in range(repeats):
            update()

    step.program = program
    return step


def fit_step(module, xla=False, batches=30, batch_size=128):
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
        module.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=xla or keras.config.backend() == "jax",
    )
    return lambda: model.fit(
        x, y, batch_size=batch_size, shuffle=False, verbose=0
    )


def cases(xla):
    """Yields name, limit, builder and its arguments after the module."""
    for name, class_name, options, limits in OPTIMIZERS:
        for i, (weights, shapes, repeats) in enumerate(WEIGHTS):
            yield (
                f"{name}, {weights}" + ", XLA" * xla,
                limit(name, i, limits, xla),
                apply_step,
                (name, class_name, options, shapes, repeats, xla),
            )
    yield (
        "`fit` with Adam, 784-512x4-10, batch 128" + ", XLA" * xla,
        FIT_LIMIT
        if keras.config.backend() == "tensorflow" and not xla
        else paired.NEVER_SLOWER,
        fit_step,
        (xla,),
    )


if __name__ == "__main__":
    paired.report(__doc__, cases)
