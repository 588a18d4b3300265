"""The doctor in real `fit`s: its findings, when, and that it does no harm."""

import contextlib
import copy
import json

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_ext import callbacks
from keras_ext.callbacks.training_doctor import TrainingProblem
from keras_ext.doctor import Finding, RunHistory
from tests.monitored_models import MODELS, compiled, data, state

LAYERS = keras.layers
BACKEND = keras.config.backend()


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16.0).astype("float32"), y


def classifier(
    hidden="relu", optimizer="adam", loss=None, seed=1, layers=2, **options
):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            *(
                LAYERS.Dense(32, hidden, name=f"hidden_{i}", **options)
                for i in range(layers)
            ),
            LAYERS.Dense(10, "softmax", name="out"),
        ]
    )
    loss = loss or "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def examine(model, x, y, epochs=3, batch_size=32, **options):
    """Fit with a doctor; return it and its findings."""
    reported = []
    doctor = callbacks.TrainingDoctor(on_finding=reported.append)
    model.fit(
        x,
        y,
        epochs=epochs,
        batch_size=batch_size,
        verbose=0,
        callbacks=[doctor],
        **options,
    )
    return doctor, reported


def problems(findings):
    return [finding.problem for finding in findings]


def test_healthy_run_is_left_alone(digits, capsys):
    x, y = digits
    model = classifier()
    doctor = callbacks.TrainingDoctor()
    model.fit(
        x, y, epochs=6, validation_split=0.2, verbose=0, callbacks=[doctor]
    )
    assert not [f for f in doctor.findings if f.severity != "info"]
    assert capsys.readouterr().err == ""
    history = doctor.history
    assert isinstance(history, RunHistory) and history.finished
    assert len(history.logs["val_loss"]) == 6
    assert history.steps[-1] == 5 * history.steps_per_epoch
    assert history.batch.class_shares.sum() == pytest.approx(1.0)


@pytest.mark.backend("torch")
def test_the_doctor_measures_the_same_steps_as_its_monitors(digits):
    x, y = digits
    every_step = callbacks.GradientNormLogger(1)
    doctor = callbacks.TrainingDoctor(on_finding=lambda finding: None)
    model = classifier()
    model.fit(
        x[:240],
        y[:240],
        batch_size=2,
        epochs=5,
        verbose=0,
        callbacks=[every_step, doctor],
    )
    steps = doctor.history.steps.tolist()
    first = [*range(0, 50, 10), 50, 100]
    assert steps == [*first, 120, 170, 220, 240, 290, 340, 360, 410, 480, 580]
    for key, values in every_step.steps.items():
        if key != "step":
            np.testing.assert_allclose(
                doctor.history.series[key], values[steps], rtol=1e-5
            )


def silent_biases():
    return {"bias_initializer": keras.initializers.Constant(-10.0)}


FAULTS = {
    "dying_relu": lambda: classifier(**silent_biases()),
    "symmetric_units": lambda: classifier(kernel_initializer="ones"),
    "learning_rate_too_high": lambda: classifier(
        optimizer=keras.optimizers.Adam(3.0)
    ),
    "learning_rate_too_low": lambda: classifier(
        optimizer=keras.optimizers.SGD(1e-6)
    ),
    "vanishing_gradient": lambda: classifier("sigmoid", "sgd", layers=10),
    "exploding_gradient": lambda: classifier(
        kernel_initializer=keras.initializers.RandomNormal(stddev=5.0), layers=6
    ),
    "saturated_activation": lambda: classifier(
        "tanh",
        keras.optimizers.SGD(1e-3),
        kernel_initializer=keras.initializers.RandomNormal(stddev=20.0),
    ),
}


@pytest.mark.parametrize("problem", FAULTS)
def test_fault_is_named_first(problem, digits):
    doctor, reported = examine(FAULTS[problem](), *digits)
    assert problems(doctor.findings)[0] == problem
    assert doctor.findings[0].severity != "info"
    assert doctor.findings[0].remedies
    # Each problem is reported once.
    assert len(set(problems(reported))) == len(reported)
    assert doctor.report().count("\n") > 3


@pytest.mark.parametrize("fault", ["symmetric_units", "unscaled_input"])
def test_a_model_without_input_shape_is_read_all_the_same(fault, digits):
    x, y = digits
    keras.utils.set_random_seed(1)
    alike = keras.initializers.Constant(0.01)
    how = {} if fault == "unscaled_input" else {"kernel_initializer": alike}
    model = keras.Sequential(
        [LAYERS.Dense(32, "relu", **how), LAYERS.Dense(10, "softmax", **how)]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    scale = 255 if fault == "unscaled_input" else 1
    doctor, _ = examine(model, scale * x, y, epochs=1)
    assert doctor.findings[0].problem == fault


def test_nan_in_the_data_is_found_in_the_first_epoch(digits):
    x, y = digits
    x = x.copy()
    x[700, 3] = np.nan
    doctor, reported = examine(classifier(), x, y, epochs=1)
    (first,) = reported
    assert (first.problem, first.severity) == ("numerical_instability", "error")
    assert first.epoch == 0


def test_unscaled_input_is_one_finding_with_a_chain(digits):
    x, y = digits
    model = classifier("sigmoid", "sgd")
    doctor, reported = examine(model, 1000 * x - 3000, y, epochs=4)
    assert problems(reported)[0] == "unscaled_input"
    assert "saturated_activation" in doctor.findings[0].chain


@pytest.mark.backend("torch")
def test_overfitting_needs_validation_data(digits, rng):
    x, _ = digits
    y = rng.integers(0, 10, 120)
    model = classifier()
    doctor, _ = examine(model, x[:80], y[:80], epochs=60, batch_size=16)
    assert "overfitting" not in problems(doctor.findings)
    model = classifier()
    doctor, _ = examine(
        model,
        x[:80],
        y[:80],
        epochs=60,
        batch_size=16,
        validation_data=(x[80:120], y[80:]),
    )
    assert problems(doctor.findings)[0] == "overfitting"


@pytest.mark.backend("torch")
def test_stop_ends_training_after_an_error(digits, capsys):
    doctor = callbacks.TrainingDoctor(on_finding="stop")
    history = classifier(**silent_biases()).fit(
        *digits, epochs=5, verbose=0, callbacks=[doctor]
    )
    assert len(history.epoch) == 1
    printed = capsys.readouterr().err
    assert "hidden_0" in printed and "dead" in printed
    assert "\033" not in printed  # no terminal


@pytest.mark.backend("torch")
def test_what_comes_back_is_reported_on_a_new_line_and_explained_once(
    digits, capsys, monkeypatch
):
    finding = Finding(
        "dying_relu", "out", 0, None, "warning", {}, "Hm.", (("Do.", "x"),)
    )
    answers = iter([[finding], [], [finding], [finding]])
    monkeypatch.setattr(
        "keras_ext.callbacks.training_doctor.diagnose",
        lambda *_: next(answers),
    )
    doctor = callbacks.TrainingDoctor()
    classifier().fit(*digits, epochs=3, verbose=1, callbacks=[doctor])
    printed = capsys.readouterr().err
    assert printed.startswith("\nWARNING")  # not in the progress bar's line
    assert printed.count("Hm.") == 2 and printed.count("Do.") == 1


@pytest.mark.backend("torch")
def test_a_rule_of_ones_own_is_asked_and_cannot_end_training(
    digits, capsys, tmp_path
):
    def many_steps(history):
        if len(history.steps) < 10:
            return []
        message = f"{len(history.steps)} <steps>"
        return [
            Finding(
                "many_steps", None, history.epoch, 9, "warning", {}, message
            )
        ]

    def broken(history):
        return history.no_such_thing

    doctor = callbacks.TrainingDoctor(rules=[broken, many_steps])
    with pytest.warns(UserWarning, match="`broken` is left out: Attr") as seen:
        classifier().fit(*digits, epochs=3, verbose=0, callbacks=[doctor])
    assert sum("left out" in str(w.message) for w in seen) == 1
    assert problems(doctor.findings) == ["many_steps"]
    assert "WARNING: many steps" in capsys.readouterr().err
    page = doctor.report(tmp_path / "report.html")
    assert "many steps" in page and "&lt;steps&gt;" in page
    copied = copy.deepcopy(doctor)
    assert copied.rules == doctor.rules
    for bad in (["many_steps"], many_steps):
        with pytest.raises(ValueError, match="`rules` must be functions"):
            callbacks.TrainingDoctor(rules=bad)
    with pytest.raises(ValueError, match="or another identifier"):
        Finding("two words", None, None, None, "info", {}, "")


@pytest.mark.backend("torch")
def test_without_a_step_the_report_has_what_there_is(tmp_path, digits):
    doctor = callbacks.TrainingDoctor(on_finding=lambda finding: None)
    nothing = "The doctor has seen no training step."
    assert doctor.report() == doctor.report(tmp_path / "a.txt") == nothing
    # As from a loop of one's own that no tap is in.
    through = keras.callbacks.CallbackList([doctor], model=classifier())
    through.on_train_begin()
    for epoch in range(2):
        through.on_epoch_begin(epoch)
        through.on_epoch_end(epoch, {"loss": float("nan")})
    assert not len(doctor.history.steps)
    assert problems(doctor.findings) == ["numerical_instability"]
    assert "NaN" in doctor.report()
    assert doctor.report(tmp_path / "b.txt") == doctor.report()


@pytest.mark.backend("torch")
def test_raise_raises_and_leaves_nothing_behind(digits):
    doctor = callbacks.TrainingDoctor(on_finding="raise")
    model = classifier(**silent_biases())
    with pytest.raises(TrainingProblem, match="dead") as caught:
        model.fit(*digits, epochs=5, verbose=0, callbacks=[doctor])
    assert isinstance(caught.value.finding, Finding)
    assert caught.value.finding is doctor.findings[0]
    model.fit(*digits, epochs=1, verbose=0)
    assert "_run" not in repr(vars(model).get("train_function"))


@pytest.mark.backend("torch")
def test_a_long_epoch_is_looked_at_in_its_midst(digits):
    x, y = digits
    reported = []

    class Steps(keras.callbacks.Callback):
        step = 0

        def on_train_batch_begin(self, batch, logs=None):
            self.step = batch

    steps = Steps()
    doctor = callbacks.TrainingDoctor(
        on_finding=lambda finding: reported.append(steps.step), every_n_steps=1
    )
    classifier(**silent_biases()).fit(
        x, y, batch_size=4, epochs=1, verbose=0, callbacks=[steps, doctor]
    )
    assert reported and reported[0] < 300 < len(x) // 4


@pytest.mark.parametrize("build, shape", MODELS.values(), ids=MODELS)
def test_training_is_the_same_with_a_doctor(build, shape):
    x, y = data(samples=70, shape=shape)

    def fitted(*doctors):
        model = compiled(build)
        model.fit(
            x,
            y,
            batch_size=8,
            epochs=2,
            shuffle=False,
            callbacks=list(doctors),
            verbose=0,
        )
        return state(model)

    doctor = callbacks.TrainingDoctor(lambda finding: None, every_n_steps=2)
    for mine, bare in zip(fitted(doctor), fitted(), strict=True):
        if BACKEND == "jax":
            np.testing.assert_allclose(mine, bare, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(mine, bare)


def test_logs_are_those_of_a_bare_run(digits):
    doctor = callbacks.TrainingDoctor()
    model = classifier()
    history = model.fit(*digits, epochs=1, verbose=0, callbacks=[doctor])
    assert sorted(history.history) == ["accuracy", "loss"]


@pytest.mark.backend("torch")
def test_it_works_beside_monitors_and_in_another_fit(digits):
    doctor = callbacks.TrainingDoctor(on_finding=lambda finding: None)
    norms = callbacks.GradientNormLogger(every_n_steps=7)
    model = classifier()
    for _ in range(2):
        model.fit(*digits, epochs=2, verbose=0, callbacks=[norms, doctor])
        assert len(doctor.history.epochs["grad_norm/global"]) == 2
        assert len(norms.epochs["grad_norm/global"]) == 2
    model.fit(*digits, epochs=1, verbose=0, callbacks=[doctor, norms])
    assert len(doctor.history.epochs["grad_norm/global"]) == 1
    again = copy.deepcopy(doctor)
    classifier().fit(*digits, epochs=1, verbose=0, callbacks=[again])
    assert len(again.history.epochs["grad_norm/global"]) == 1
    model.evaluate(*digits, verbose=0, callbacks=[doctor])
    model.predict(digits[0], verbose=0, callbacks=[doctor])


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


def no_relu():
    return LAYERS.Dense(4, "tanh"), "mse"


def one_layer():
    return LAYERS.Identity(), "mse"


def own_loss():
    return LAYERS.Dense(4, "relu"), OwnLoss()


@pytest.mark.backend("torch")
@pytest.mark.parametrize("make", [no_relu, one_layer, own_loss])
def test_rules_that_cannot_apply_stay_silent(make, rng):
    keras.utils.set_random_seed(2)
    hidden, loss = make()
    model = keras.Sequential([keras.Input((3,)), hidden, LAYERS.Dense(1)])
    model.compile(keras.optimizers.Adam(0.03), loss)
    x = rng.normal(size=(256, 3)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5]], "float32")
    doctor, reported = examine(model, x, y, epochs=30)
    assert not reported, reported
    # One epoch is enough for it not to fail.
    examine(model, x, y, epochs=1)


@pytest.mark.backend("torch")
def test_recurrent_autoencoder_and_generator_models(rng):
    x = rng.normal(size=(64, 5, 3)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            LAYERS.LSTM(8, return_sequences=True),
            LAYERS.Dense(3),
        ]
    )
    model.compile("adam", "mse")
    batches = ((x[i : i + 8], x[i : i + 8]) for i in range(0, 64, 8))
    reported = []
    doctor = callbacks.TrainingDoctor(reported.append)
    model.fit(
        batches,
        epochs=1,
        steps_per_epoch=7,
        shuffle=False,
        verbose=0,
        callbacks=[doctor],
    )
    assert not reported
    assert doctor.history.batch.size == 8


@pytest.mark.backend("tensorflow")
def test_data_that_cannot_be_measured_do_not_end_training():
    import tensorflow as tf

    x = tf.sparse.from_dense(np.eye(32, 8, dtype="float32"))
    batches = tf.data.Dataset.from_tensor_slices((x, np.ones(32))).batch(8)
    inputs = keras.Input((8,), sparse=True)
    model = keras.Model(inputs, LAYERS.Dense(1)(inputs))
    model.compile("sgd", "mse")
    doctor = callbacks.TrainingDoctor(lambda finding: None)
    with pytest.warns(UserWarning, match="batches of data are not measured"):
        model.fit(
            batches, epochs=2, shuffle=False, verbose=0, callbacks=[doctor]
        )
    assert doctor.history.batch is None
    assert len(doctor.history.epochs["grad_norm/global"]) == 2


@pytest.mark.backend("torch")
def test_a_copy_keeps_the_values(digits):
    doctor, _ = examine(classifier(), *digits, epochs=1)
    again = copy.deepcopy(doctor)
    np.testing.assert_array_equal(
        again.history.batch.class_shares, doctor.history.batch.class_shares
    )


@pytest.mark.backend("torch")
@pytest.mark.parametrize(
    "arguments, name",
    [
        ({"on_finding": "shout"}, "on_finding"),
        ({"min_severity": "bad"}, "min_severity"),
        ({"every_n_steps": 0}, "every_n_steps"),
    ],
)
def test_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=name):
        callbacks.TrainingDoctor(**arguments)


@pytest.mark.backend("torch")
def test_uncompiled_model_and_interrupt(digits):
    doctor = callbacks.TrainingDoctor()

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 20:
                raise KeyboardInterrupt

    model = classifier()
    with contextlib.suppress(KeyboardInterrupt):
        model.fit(*digits, verbose=0, callbacks=[doctor, Interrupt()])
    before = json.loads(model.to_json())
    model.fit(*digits, verbose=0, callbacks=[doctor])
    assert json.loads(model.to_json()) == before
    assert doctor.findings == [] or doctor.findings[0].severity == "info"
