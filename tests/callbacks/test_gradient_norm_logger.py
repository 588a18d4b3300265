import copy
import csv
import re

import keras
import numpy as np
import pytest

from keras_ext import callbacks
from tests.monitored_models import MODELS, compiled, data, mlp

BACKEND = keras.config.backend()


def test_known_gradient_of_a_line():
    # L = mean((w·1 − 0)²), so dL/dw = 2w = 6 at w = 3.
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(
                1, use_bias=False, kernel_initializer="ones", name="line"
            ),
            keras.layers.Rescaling(3.0),
        ]
    )
    model.compile("sgd", "mse")
    norms = callbacks.GradientNormLogger()
    model.fit(np.ones((4, 1)), np.zeros((4, 1)), callbacks=[norms], verbose=0)
    np.testing.assert_allclose(norms.steps["grad_norm/line"], [18.0])
    assert list(norms.epochs) == ["grad_norm/line", "grad_norm/global"]


def test_steps_are_every_nth_from_the_first_of_each_epoch():
    x, y = data(samples=70)
    model = compiled(mlp)
    norms = callbacks.GradientNormLogger(every_n_steps=3)
    model.fit(x, y, batch_size=10, epochs=2, callbacks=[norms], verbose=0)
    assert norms.steps["step"].tolist() == [0, 3, 6, 7, 10, 13]
    for key, epochs in norms.epochs.items():
        steps = norms.steps[key]
        np.testing.assert_allclose(
            epochs, [steps[:3].mean(), steps[3:].mean()], rtol=1e-6
        )


@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        {"jit_compile": True},
        {"jit_compile": False},
        {"steps_per_execution": 4},
        {"steps_per_execution": 3, "jit_compile": True},
    ][: 1 if BACKEND == "torch" else None],
    ids=lambda options: "-".join(options),
)
def test_the_same_numbers_however_the_step_is_run(options):
    x, y = data(samples=70)

    def logged(**options):
        model = compiled(mlp, **options)
        norms = callbacks.GradientNormLogger(every_n_steps=2)
        model.fit(
            x,
            y,
            batch_size=10,
            epochs=2,
            shuffle=False,
            callbacks=[norms],
            verbose=0,
        )
        return norms.steps

    plain, other = logged(), logged(**options)
    assert plain["step"].tolist() == [0, 2, 4, 6, 7, 9, 11, 13]
    for key in plain:
        np.testing.assert_allclose(other[key], plain[key], rtol=2e-3)


@pytest.mark.parametrize(
    "options",
    [{}, {"steps_per_execution": 8}, {"run_eagerly": True}][
        : 1 if BACKEND == "torch" else None
    ],
    ids=lambda options: "-".join(options) or "default",
)
def test_the_distance_grows_with_the_training(options):
    x, y = data(samples=70)
    model = compiled(mlp, **options)
    norms, every_step = (
        callbacks.GradientNormLogger(n, vanishing=None, exploding=None)
        for n in ("auto", 1)
    )
    model.fit(
        x, y, batch_size=1, epochs=3, callbacks=[norms, every_step], verbose=0
    )
    steps = norms.steps["step"].tolist()
    assert steps == [*range(0, 50, 10), 50, 70, 120, 140, 190]
    for key, values in norms.steps.items():
        np.testing.assert_array_equal(values, every_step.steps[key][steps])


@pytest.mark.backend("tensorflow")
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_data_of_unknown_length(steps_per_execution):
    import tensorflow as tf

    x, y = data(samples=50)

    def batches():
        for i in range(0, 50, 10):
            yield x[i : i + 10], y[i : i + 10]

    signature = (
        tf.TensorSpec((None, 6), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    )
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=signature
    )
    model = compiled(mlp, steps_per_execution=steps_per_execution)
    norms = callbacks.GradientNormLogger(every_n_steps=5)
    model.fit(dataset, epochs=2, callbacks=[norms], verbose=0)
    # The sixth step only finds the end: sampling it would give step 5.
    assert norms.steps["step"].tolist() == [0, 5]


def test_python_generator():
    x, y = data(samples=10)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return x, y

    model = compiled(mlp)
    norms = callbacks.GradientNormLogger(every_n_steps=3)
    model.fit(Batches(), epochs=2, callbacks=[norms], verbose=0)
    assert norms.steps["step"].tolist() == [0, 3, 4, 7]


def test_norms_are_taken_before_clipping():
    x, y = data(samples=32)

    def norm(**clipping):
        model = compiled(mlp, keras.optimizers.SGD(0.1, **clipping))
        logger = callbacks.GradientNormLogger()
        model.fit(x, y, shuffle=False, callbacks=[logger], verbose=0)
        return logger.epochs["grad_norm/global"][0]

    np.testing.assert_allclose(
        [norm(global_clipnorm=1e-3), norm(clipnorm=1e-3)], norm(), rtol=1e-6
    )


def test_loss_scales_are_divided_out():
    x, y = data(samples=32)

    def norm(optimizer):
        model = compiled(mlp, optimizer)
        logger = callbacks.GradientNormLogger()
        model.fit(x, y, shuffle=False, callbacks=[logger], verbose=0)
        return logger.epochs["grad_norm/first"][0]

    plain = norm(keras.optimizers.SGD(0.1))
    scaled = norm(keras.optimizers.SGD(0.1, loss_scale_factor=1024.0))
    dynamic = norm(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    )
    np.testing.assert_allclose([scaled, dynamic], plain, rtol=1e-5)


def test_steps_that_loss_scaling_skips_are_not_averaged_in():
    x = np.ones((64, 2))
    y = np.ones((64, 1))
    y[:8] = np.inf
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.0)),
        lambda y, p: y * p,
    )
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    model.fit(x, y, batch_size=8, shuffle=False, callbacks=[norms], verbose=0)
    steps = norms.steps["grad_norm/global"]
    assert np.isfinite(steps).tolist() == [False] + 7 * [True]
    np.testing.assert_allclose(steps[1:], np.sqrt(3))
    assert norms.epochs["grad_norm/global"] == [steps[1:].mean()]


def test_mixed_precision():
    x, y = data(samples=32)
    y = y[:, None] / 2

    def norm(policy):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(8, "relu", name="first", dtype=policy),
                keras.layers.Dense(1, name="out", dtype=policy),
            ]
        )
        model.compile(keras.optimizers.SGD(0.0), "mse")
        logger = callbacks.GradientNormLogger()
        # The first of the loss scales is too large for float16.
        model.fit(x, y, epochs=4, callbacks=[logger], verbose=0)
        return logger.epochs["grad_norm/first"]

    np.testing.assert_allclose(
        norm("mixed_float16")[-1], norm("float32")[-1], rtol=0.02
    )


@pytest.mark.parametrize("magnitude", [1e-25, 1e-12, 1.0, 1e25])
def test_norms_are_right_at_every_magnitude(magnitude):
    # Squares of such gradients leave float32's range, the norms do not.
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1, name="out")]
    )
    model.compile(
        keras.optimizers.SGD(0.0),
        lambda y, p: magnitude * keras.ops.sum(p, axis=-1),
    )
    norms = callbacks.GradientNormLogger(exploding=None)
    x = np.full((5, 3), 2.0)
    model.fit(x, np.zeros((5, 1)), callbacks=[norms], verbose=0)
    # Kernel: three times 2, bias: once 1.
    np.testing.assert_allclose(
        norms.epochs["grad_norm/out"], [magnitude * np.sqrt(13)], rtol=1e-5
    )


@pytest.mark.parametrize(
    "jit_compile", [False, True][: 1 if BACKEND == "torch" else None]
)
def test_sparse_gradients_of_an_embedding(jit_compile):
    # Row 1 is looked up three times: its gradient is the sum.
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(5, 2, name="words"),
            keras.layers.Lambda(lambda x: keras.ops.sum(x, axis=(1, 2))),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.0),
        lambda y, p: p,
        jit_compile=jit_compile,
    )
    norms = callbacks.GradientNormLogger()
    words = np.array([[1, 1, 1, 4]])
    model.fit(words, np.zeros(1), callbacks=[norms], verbose=0)
    # d sum / d row 1 = (3, 3), row 4 = (1, 1).
    np.testing.assert_allclose(
        norms.epochs["grad_norm/words"], [np.sqrt(20.0)], rtol=1e-6
    )


def test_a_thousand_steps_come_over_in_blocks():
    x, y = data(samples=1000)
    model = compiled(mlp, keras.optimizers.SGD(0.01))
    norms = callbacks.GradientNormLogger(every_n_steps=1, vanishing=None)
    model.fit(x, y, batch_size=1, callbacks=[norms], verbose=0)
    assert norms.steps["step"].tolist() == list(range(1000))
    assert (norms.steps["grad_norm/out"] > 0).all()


def test_layers_selects_keys_but_global_stays_global():
    x, y = data(samples=32)
    model, other = compiled(mlp), compiled(mlp)
    chosen = callbacks.GradientNormLogger(layers=["out"])
    every = callbacks.GradientNormLogger()
    model.fit(x, y, shuffle=False, callbacks=[chosen], verbose=0)
    other.fit(x, y, shuffle=False, callbacks=[every], verbose=0)
    assert list(chosen.epochs) == ["grad_norm/out", "grad_norm/global"]
    np.testing.assert_allclose(
        chosen.epochs["grad_norm/global"],
        every.epochs["grad_norm/global"],
        rtol=1e-6,
    )


def test_values_reach_history_and_csv_and_the_bar_stays_short(tmp_path, capsys):
    x, y = data(samples=32)
    model = compiled(mlp)
    norms = callbacks.GradientNormLogger()
    path = tmp_path / "log.csv"
    history = model.fit(
        x,
        y,
        epochs=2,
        callbacks=[norms, keras.callbacks.CSVLogger(path)],
        verbose=2,
    )
    key = "grad_norm/first"
    assert history.history[key] == norms.epochs[key].tolist()
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert [float(row[key]) for row in rows] == history.history[key]
    printed = capsys.readouterr().out
    assert printed.count("grad_norm/global") == 2
    assert "grad_norm/first" not in printed


@pytest.mark.backend("tensorflow", "jax")
def test_another_fit_starts_anew_and_traces_nothing_again():
    x, y = data(samples=32)
    traces = []

    class Counted(keras.Sequential):
        def train_step(self, *args):
            traces.append(1)
            return super().train_step(*args)

    model = compiled(lambda: Counted(mlp().layers))
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    model.fit(x, y, batch_size=8, callbacks=[norms], verbose=0)
    first = norms.steps["grad_norm/out"]
    traced = len(traces)
    model.fit(x, y, batch_size=8, epochs=3, callbacks=[norms], verbose=0)
    assert len(traces) == traced
    assert norms.steps["step"].tolist() == list(range(12))
    assert len(norms.epochs["grad_norm/out"]) == 3
    assert not np.isin(first, norms.steps["grad_norm/out"]).any()


def test_another_model_and_another_compile_are_measured_too():
    x, y = data(samples=32)
    norms = callbacks.GradientNormLogger()
    model = compiled(mlp)
    model.fit(x, y, callbacks=[norms], verbose=0)
    model.get_layer("first").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, callbacks=[norms], verbose=0)
    assert "grad_norm/first" not in norms.epochs
    build, shape = MODELS["cnn"]
    x, y = data(samples=32, shape=shape)
    compiled(build).fit(x, y, callbacks=[norms], verbose=0)
    assert "grad_norm/conv" in norms.epochs


def test_a_copy_shares_nothing_with_a_logger_that_was_used():
    x, y = data(samples=32)
    norms = callbacks.GradientNormLogger(every_n_steps=2, layers=["out"])
    model = compiled(mlp)
    model.fit(x, y, callbacks=[norms], verbose=0)
    twin = copy.deepcopy(norms)
    assert twin._model is None
    assert (twin.every_n_steps, twin.layers) == (2, ["out"])
    compiled(mlp).fit(x, y, epochs=2, callbacks=[twin], verbose=0)
    assert len(norms.epochs["grad_norm/out"]) == 1
    assert len(twin.epochs["grad_norm/out"]) == 2


def test_a_loop_of_train_on_batch_with_a_callback_list():
    x, y = data(samples=32)
    model = compiled(mlp)
    norms = callbacks.GradientNormLogger(every_n_steps=2)
    loop = keras.callbacks.CallbackList([norms], model=model)
    loop.on_train_begin()
    logs = {}
    loop.on_epoch_begin(0)
    for step in range(5):
        loop.on_train_batch_begin(step)
        model.train_on_batch(x, y)
        loop.on_train_batch_end(step)
    norms.on_epoch_end(0, logs)
    loop.on_train_end()
    assert norms.steps["step"].tolist() == [0, 2, 4]
    assert "grad_norm/out" in logs


def test_gradient_accumulation_logs_each_micro_batch():
    x, y = data(samples=32)
    model = compiled(
        mlp, keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    )
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    model.fit(x, y, batch_size=8, callbacks=[norms], verbose=0)
    assert (norms.steps["grad_norm/out"] > 0).tolist() == 4 * [True]


def test_evaluate_and_predict_take_the_logger_and_ignore_it():
    x, y = data(samples=8)
    model = compiled(mlp)
    norms = callbacks.GradientNormLogger()
    model.evaluate(x, y, callbacks=[norms], verbose=0)
    model.predict(x, callbacks=[norms], verbose=0)
    assert norms.epochs == {} and norms.steps == {}


@pytest.mark.parametrize("every_n_steps", [0, -1, 2.5, None])
def test_bad_every_n_steps(every_n_steps):
    with pytest.raises(ValueError, match="`every_n_steps` must be a posit"):
        callbacks.GradientNormLogger(every_n_steps=every_n_steps)


def test_bad_layers():
    for bad in ("first", 3, ["first", 3]):
        with pytest.raises(ValueError, match=re.escape(f"layers={bad!r}")):
            callbacks.GradientNormLogger(layers=bad)
    x, y = data(samples=8)
    norms = callbacks.GradientNormLogger(layers=["hidden_7"])
    with pytest.raises(ValueError, match="Received: 'hidden_7'.*'first'"):
        compiled(mlp).fit(x, y, callbacks=[norms], verbose=0)


def test_a_model_that_fit_builds():
    x, y = data(samples=32)

    def logged(layers):
        keras.utils.set_random_seed(9)
        model = keras.Sequential(layers)
        model.add(keras.layers.Dense(4, activation="relu", name="hidden"))
        model.add(keras.layers.Dense(3, activation="softmax", name="out"))
        model.compile("adam", "sparse_categorical_crossentropy")
        norms = callbacks.GradientNormLogger()
        dead = callbacks.DeadReLULogger()
        for _ in range(2):
            model.fit(
                x,
                y,
                epochs=2,
                shuffle=False,
                callbacks=[norms, dead],
                verbose=0,
            )
        return norms.epochs | dead.epochs

    unbuilt, built = logged([]), logged([keras.Input((6,))])
    assert set(unbuilt) == set(built) > {"grad_norm/hidden"}
    for key, values in built.items():
        np.testing.assert_allclose(unbuilt[key], values, rtol=1e-5)


def test_a_subclassed_model():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(4, "relu", name="hidden")
            self.out = keras.layers.Dense(3, "softmax", name="out")

        def call(self, x):
            return self.out(self.hidden(x))

    x, y = data(samples=32)
    norms, dead = callbacks.GradientNormLogger(), callbacks.DeadReLULogger()
    compiled(Net).fit(x, y, callbacks=[norms, dead], verbose=0)
    assert list(norms.epochs) == [
        "grad_norm/hidden",
        "grad_norm/out",
        "grad_norm/global",
    ]
    assert "dead_relu/hidden" in dead.epochs
