"""The norms are those of the backend's own autodiff, for every model."""

import keras
import numpy as np
import pytest

from keras_ext import callbacks, taps
from keras_ext.taps.capture import optimizers_of
from tests.taps import any_model, gan
from tests.taps.any_model import CASES

BATCH = 8


def batches(case):
    n = len(keras.tree.flatten(case.x)[0])
    for start in range(0, n, BATCH):
        yield keras.tree.map_structure(
            lambda a: a[start : start + BATCH],  # noqa: B023
            (case.x, case.y),
        )


def expected(case):
    """Returns, for each key, the norm of each batch."""
    norms = {}
    for x, y in batches(case):
        found = any_model.gradients(case, x, y)
        found = [keras.ops.convert_to_numpy(g).astype("float64") for g in found]
        squares = {
            id(v): np.square(g).sum()
            for v, g in zip(case.model.trainable_variables, found, strict=True)
        }
        for group in taps.weight_groups(case.model):
            total = sum(squares[id(v)] for v in group.variables)
            key = f"grad_norm/{group.path}"
            norms.setdefault(key, []).append(np.sqrt(total))
        norms.setdefault("grad_norm/global", []).append(
            np.sqrt(sum(squares.values()))
        )
    return norms


def fit(case, *monitors, **options):
    return case.model.fit(
        case.x,
        case.y,
        batch_size=BATCH,
        shuffle=False,
        callbacks=list(monitors),
        verbose=0,
        **options,
    )


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(3)


@pytest.mark.filterwarnings("ignore:Not measured")
@pytest.mark.parametrize("name", CASES)
def test_norms_are_those_of_autodiff(name):
    case = CASES[name]()
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    doctor = callbacks.TrainingDoctor(lambda finding: None, every_n_steps=1)
    fit(case, norms, doctor, epochs=2)
    wanted = expected(case)
    series = doctor.history.series
    np.testing.assert_allclose(
        series["grad_norm/global"], norms.steps["grad_norm/global"], rtol=1e-6
    )
    assert len(series["loss"]) == 6 and np.isfinite(series["loss"]).all()
    assert set(wanted) <= set(norms.steps)
    assert len(norms.steps["step"]) == 6
    for key, values in wanted.items():
        assert min(values) > 0
        np.testing.assert_allclose(
            norms.steps[key], values * 2, rtol=1e-4, err_msg=key
        )
        np.testing.assert_allclose(
            norms.epochs[key], [np.mean(values)] * 2, rtol=1e-4
        )


def test_each_optimizer_of_a_custom_train_step_counts():
    model = gan.GAN()
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    x = any_model.numbers(16, 4), any_model.numbers(16, 2, seed=1)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    doctor = callbacks.TrainingDoctor(lambda finding: None, every_n_steps=1)
    model.fit(
        x,
        batch_size=8,
        shuffle=False,
        callbacks=[norms, dead, doctor],
        verbose=0,
    )

    parts = model.critic, model.generator
    total = np.zeros(2)
    critic_loss = [
        keras.ops.convert_to_numpy(
            gan.losses(model, x[0][i : i + 8], x[1][i : i + 8])[0]
        )
        for i in (0, 8)
    ]
    np.testing.assert_allclose(
        doctor.history.series["loss"], critic_loss, rtol=1e-5
    )
    for i, part in enumerate(parts):
        for step in range(2):
            real, noise = (a[8 * step : 8 * step + 8] for a in x)
            squares = autodiff_squares(
                lambda: gan.losses(model, real, noise)[i],  # noqa: B023
                part.trainable_variables,
            )
            total[step] += sum(squares)
            for layer, square in zip(
                part.layers, np.add(squares[::2], squares[1::2]), strict=True
            ):
                found = norms.steps[f"grad_norm/{part.name}/{layer.name}"]
                np.testing.assert_allclose(
                    found[step], np.sqrt(square), rtol=1e-4
                )
    np.testing.assert_allclose(
        norms.steps["grad_norm/global"], np.sqrt(total), rtol=1e-4
    )
    assert {"dead_relu/critic/hidden", "dead_relu/generator/hidden"} <= set(
        dead.epochs
    )


def autodiff_squares(loss, variables):
    """Returns the squared norm of each variable's gradient."""
    found = any_model.gradients_of(loss, variables)
    found = [keras.ops.convert_to_numpy(g).astype("float64") for g in found]
    return [np.square(g).sum() for g in found]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        # Keras's own first scale is too large for some gradients.
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.0), initial_scale=64.0
        )
        case = any_model.sequential(optimizer=optimizer)
        norms = callbacks.GradientNormLogger(every_n_steps=1)
        fit(case, norms)
        wanted = expected(case)
    finally:
        keras.config.set_dtype_policy(before)
    for key, values in wanted.items():
        np.testing.assert_allclose(norms.steps[key], values, rtol=3e-2)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("infinite", [False, True])
def test_generators(infinite):
    case = CASES["sequential"]()

    def generate():
        while True:
            yield from batches(case)
            if not infinite:
                break

    norms = callbacks.GradientNormLogger(every_n_steps=2)
    case.model.fit(
        generate(),
        steps_per_epoch=3 if infinite else None,
        shuffle=False,
        callbacks=[norms],
        verbose=0,
    )
    wanted = expected(case)["grad_norm/global"]
    assert norms.steps["step"].tolist() == [0, 2]
    np.testing.assert_allclose(
        norms.steps["grad_norm/global"], wanted[::2], rtol=1e-4
    )


def test_a_loop_of_ones_own():
    case = CASES["sequential"]()
    norms = callbacks.GradientNormLogger(every_n_steps=2)
    chain = keras.callbacks.CallbackList(
        [norms], model=case.model, epochs=1, steps=3
    )
    chain.on_train_begin()
    chain.on_epoch_begin(0)
    for step, (x, y) in enumerate(batches(case)):
        chain.on_train_batch_begin(step)
        loss = case.model.train_on_batch(x, y)
        chain.on_train_batch_end(step, {"loss": loss})
    chain.on_epoch_end(0, {})
    chain.on_train_end({})
    wanted = expected(case)["grad_norm/global"]
    np.testing.assert_allclose(
        norms.steps["grad_norm/global"], wanted[::2], rtol=1e-4
    )
    np.testing.assert_allclose(
        norms.epochs["grad_norm/global"], [np.mean(wanted[::2])], rtol=1e-4
    )


def test_optimizers_are_found_wherever_a_model_keeps_them():
    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            layers = [keras.Input((2,)), keras.layers.Dense(1)]
            self.inner = keras.Sequential(layers)
            self.inner.compile("adam", "mse")
            self.several = [
                keras.optimizers.RMSprop(),
                keras.optimizers.Adagrad(),
            ]
            self.named = {"of": keras.optimizers.Adadelta()}

    model = Holder()
    model.compile("sgd", "mse")
    found = {type(o).__name__ for o in optimizers_of(model)}
    assert found == {"SGD", "Adam", "RMSprop", "Adagrad", "Adadelta"}


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_step_that_leaves_a_layer_out():
    class Sometimes(keras.Model):
        def __init__(self):
            super().__init__()
            self.calls = 0
            self.first = keras.layers.Dense(4, activation="relu", name="first")
            self.last = keras.layers.Dense(4, name="last")

        def call(self, x):
            self.calls += 1
            return self.last(self.first(x) if self.calls != 2 else x)

    model = Sometimes()
    x = any_model.numbers(32, 4)
    model(x)
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    # Keras may call the model before the first step.
    start = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: setattr(model, "calls", 0)
    )
    model.fit(
        x,
        x,
        batch_size=8,
        shuffle=False,
        callbacks=[dead, norms, start],
        verbose=0,
    )
    assert dead.steps["step"].tolist() == [0, 2, 3]
    assert norms.steps["step"].tolist() == [0, 1, 2, 3]
    assert np.isnan(norms.steps["grad_norm/first"][1])
    assert np.isfinite(norms.epochs["grad_norm/first"]).all()
