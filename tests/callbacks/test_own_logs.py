"""Logs of one's own `train_step`: `None`, texts, arrays, dictionaries."""

import keras
import mlflow
import numpy as np
import pytest

from keras_ext import callbacks
from keras_ext.callbacks.logs import numbers_in

BACKEND = keras.config.backend()


class Model(keras.Sequential):
    """A model whose steps report more than numbers."""

    extra = {"nothing": None, "vector": np.ones(3, "float32")}
    loss_as = staticmethod(lambda loss: loss)
    if BACKEND == "torch":
        extra = {**extra, "word": "abc"}

    def train_step(self, *args):
        result = super().train_step(*args)
        logs, *state = result if isinstance(result, tuple) else (result,)
        logs = {
            **logs,
            **self.extra,
            "loss": self.loss_as(logs["loss"]),
            "deep": {"inner": logs["loss"]},
        }
        return (logs, *state) if state else logs


def fitted(monitors, kind=Model):
    keras.utils.set_random_seed(2)
    model = kind(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", name="hidden"),
            keras.layers.Dense(2, name="out"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    x = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
    model.fit(
        x, x[:, :2], batch_size=16, epochs=3, verbose=0, callbacks=monitors
    )
    return model.get_weights()


def test_they_do_not_end_the_training(tracking_uri):
    norms = callbacks.GradientNormLogger(every_n_steps=1)
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    doctor = callbacks.TrainingDoctor(every_n_steps=1, on_finding="raise")
    logger = callbacks.MLflowLogger(tracking_uri=tracking_uri)
    weights = fitted([norms, dead, doctor, logger])
    for array, wanted in zip(weights, fitted([]), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-5, atol=1e-6)
    assert len(norms.epochs["grad_norm/hidden"]) == 3
    assert len(doctor.history.logs["loss"]) == 3
    assert "nothing" not in doctor.history.logs
    assert np.isfinite(doctor.history.series["loss"]).all()
    client = mlflow.MlflowClient(tracking_uri)
    run = client.get_run(logger.current_run_id)
    assert run.info.status == "FINISHED"
    assert {"loss", "grad_norm/hidden"} <= set(run.data.metrics)
    assert not {"nothing", "vector", "word"} & set(run.data.metrics)


@pytest.mark.parametrize("loss", ["missing", "vector"])
def test_a_loss_that_is_no_number(loss):
    class Odd(Model):
        loss_as = staticmethod(
            lambda value: (
                None if loss == "missing" else keras.ops.stack([value, value])
            )
        )

    doctor = callbacks.TrainingDoctor(every_n_steps=1, on_finding="raise")
    fitted([doctor], Odd)
    assert "loss" not in doctor.history.logs
    series = doctor.history.series["loss"]
    assert np.isnan(series).all() == (loss == "missing")


def test_numbers_in_logs():
    logs = {
        "python": 1,
        "numpy": np.float32(2.0),
        "tensor": keras.ops.convert_to_tensor(3.0),
        "nan": float("nan"),
        "text": "4.0",
        "none": None,
        "vector": np.ones(1),
        "list": [5.0],
        "dict": {"x": 6.0},
    }
    found = numbers_in(logs)
    assert list(found) == ["python", "numpy", "tensor", "nan"]
    assert all(type(value) is float for value in found.values())
    assert numbers_in(None) == {}
