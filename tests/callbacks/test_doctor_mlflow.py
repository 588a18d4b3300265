import copy
import dataclasses
import gc

import keras
import numpy as np
import pytest

from keras_ext.callbacks.mlflow_logger import MLflowLogger
from keras_ext.callbacks.training_doctor import TrainingDoctor
from keras_ext.doctor import Finding
from keras_ext.tracking import RunWriter, connect
from keras_ext.tracking.runs import experiment_id

pytestmark = pytest.mark.backend("torch")

EXPERIMENT = "doctor and mlflow"
DEAD = Finding(
    "dying_relu", "net/relu", 0, 3, "error", {"dead": 1.0}, "No unit fires."
)
SLOW = Finding("underfitting", None, 1, None, "warning", {}, "It is bad.")


class KnowingDoctor(TrainingDoctor):
    """Has known findings after each epoch, and others at the end."""

    def __init__(self, after_epoch=(), at_the_end=None):
        super().__init__()
        self.after_epoch = list(after_epoch)
        self.at_the_end = at_the_end
        self.ends = 0

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.findings = self.after_epoch

    def _examine(self):
        if self._finished:
            self.ends += 1
            if self.at_the_end is not None:
                self.findings = self.at_the_end


class Raise(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise ZeroDivisionError


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


@pytest.fixture(scope="module")
def client(tracking_uri):
    return connect(tracking_uri)


@pytest.fixture
def new(client):
    return {"client": client, "experiment": EXPERIMENT, "figures": False}


def fit(*callbacks, epochs=2):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "relu", name="hidden"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    return model.fit(
        *(x, x[:, :1]),
        batch_size=8,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
    )


def run_of(client, log):
    gc.collect()
    writer = RunWriter(client, log.current_run_id)
    assert writer._outbox.wait(writer._outbox.put(()))
    return client.get_run(log.current_run_id)


def tags_of(client, log):
    tags = run_of(client, log).data.tags
    return {
        key.removeprefix("doctor."): value
        for key, value in tags.items()
        if key.startswith("doctor.")
    }


def artifact(client, log, path, folder):
    run_of(client, log)
    file = client.download_artifacts(log.current_run_id, path, str(folder))
    with open(file, encoding="utf-8") as lines:
        return lines.read()


ILL = {
    "problem": "dying_relu",
    "problems": "dying_relu,underfitting",
    "severity": "error",
    "layer": "net/relu",
}
WELL = dict.fromkeys(ILL, "none")


@pytest.mark.parametrize("place", ["before", "behind"])
def test_tags_and_reports(client, new, place, tmp_path):
    # What counts is the last diagnosis, wherever the doctor stands.
    doctor = KnowingDoctor([SLOW], at_the_end=[DEAD, SLOW])
    log = MLflowLogger(**new)
    fit(*((doctor, log) if place == "before" else (log, doctor)))
    assert tags_of(client, log) == ILL
    assert run_of(client, log).info.status == "FINISHED"
    assert doctor.ends == 1
    text = artifact(client, log, "doctor/report.txt", tmp_path)
    assert text == doctor.report() and "No unit fires." in text
    page = artifact(client, log, "doctor/report.html", tmp_path)
    assert page.startswith("<!DOCTYPE html>") and "No unit fires." in page
    assert "<img" not in page


def test_figures(client, new, tmp_path):
    log = MLflowLogger(**new | {"figures": True})
    fit(log, KnowingDoctor([DEAD]))
    page = artifact(client, log, "doctor/report.html", tmp_path)
    assert page.count('<img src="data:image/png;base64,') >= 3


def test_healthy_runs(client, new, tmp_path):
    log = MLflowLogger(**new)
    fit(KnowingDoctor(), log)
    assert tags_of(client, log) == WELL
    text = artifact(client, log, "doctor/report.txt", tmp_path)
    assert text == "The doctor found nothing wrong."


def test_a_finding_of_the_whole_model(client, new):
    log = MLflowLogger(**new)
    fit(KnowingDoctor([SLOW]), log)
    slow = {"problem": "underfitting", "problems": "underfitting"}
    expected = {**slow, "severity": "warning", "layer": "none"}
    assert tags_of(client, log) == expected


def test_consequences_are_among_the_problems(client, new):
    log = MLflowLogger(**new)
    root = dataclasses.replace(DEAD, consequences=(SLOW,))
    fit(KnowingDoctor([root, SLOW]), log)
    assert tags_of(client, log) == ILL


def test_without_a_doctor_there_are_no_tags(client, new):
    log = MLflowLogger(**new)
    fit(log)
    assert tags_of(client, log) == {}
    assert client.list_artifacts(log.current_run_id) == []


def test_runs_can_be_filtered_by_diagnosis(client, new):
    logs = []
    for findings in ([DEAD, SLOW], [SLOW], []):
        logs.append(MLflowLogger(**new, tags={"test": "filter"}))
        fit(KnowingDoctor(findings), logs[-1])
    experiment = experiment_id(client, EXPERIMENT)

    def runs(query):
        query = f"tags.test = 'filter' and tags.{query}"
        found = client.search_runs([experiment], query)
        return [run.info.run_id for run in found]

    dead, slow, healthy = (log.current_run_id for log in logs)
    assert runs("\"doctor.problem\" = 'dying_relu'") == [dead]
    assert runs("\"doctor.problem\" = 'none'") == [healthy]
    assert runs("\"doctor.severity\" = 'warning'") == [slow]
    assert set(runs("\"doctor.problems\" LIKE '%underfitting%'")) == {
        dead,
        slow,
    }


def test_stop_training(client, new):
    log = MLflowLogger(**new)
    history = fit(log, Stop(), KnowingDoctor([DEAD, SLOW]), epochs=9)
    assert len(history.history["loss"]) == 1
    assert tags_of(client, log) == ILL


@pytest.mark.parametrize("place", ["before", "behind"])
def test_fit_that_dies(client, new, place, tmp_path):
    log, doctor = MLflowLogger(**new), KnowingDoctor([DEAD, SLOW])
    callbacks = (doctor, log) if place == "before" else (log, doctor)
    with pytest.raises(ZeroDivisionError):
        fit(*callbacks, Raise())
    assert run_of(client, log).info.status == "FAILED"
    assert tags_of(client, log) == ILL
    page = artifact(client, log, "doctor/report.html", tmp_path)
    assert "No unit fires." in page


def test_a_given_run_is_left_open(client, new):
    for dies in (False, True):
        run_id = client.create_run(experiment_id(client, EXPERIMENT))
        log = MLflowLogger(run_id.info.run_id, client, figures=False)
        doctor = KnowingDoctor([DEAD, SLOW])
        if dies:
            with pytest.raises(ZeroDivisionError):
                fit(log, doctor, Raise())
        else:
            fit(log, doctor)
        assert tags_of(client, log) == ILL
        assert run_of(client, log).info.status == "RUNNING"


@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_doctor_that_raises(client, new, place, monkeypatch):
    """A real one, which ends `fit` by what it found."""
    x = np.linspace(-1, 1, 64, dtype="float32").reshape(64, 1)
    x[3] = np.nan
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    log, doctor = MLflowLogger(**new), TrainingDoctor(on_finding="raise")
    callbacks = [doctor, log] if place == "before" else [log, doctor]
    with pytest.raises(RuntimeError):
        model.fit(x, x, callbacks=callbacks, verbose=0, epochs=2)
    assert tags_of(client, log)["problem"] == doctor.findings[0].problem
    assert doctor.findings[0].problem == "numerical_instability"
    assert run_of(client, log).info.status == "FAILED"


def test_a_doctor_that_cannot_be_read(client, new, caplog, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("no page")

    monkeypatch.setattr("keras_ext.doctor.report.html", broken)
    log = MLflowLogger(**new)
    fit(KnowingDoctor([DEAD]), log)
    assert "no page" in caplog.text
    assert run_of(client, log).info.status == "FINISHED"
    # What was there before it broke arrives.
    assert tags_of(client, log)["problem"] == "dying_relu"
    log = MLflowLogger(**new)
    with pytest.raises(ZeroDivisionError):
        fit(KnowingDoctor([DEAD]), log, Raise())
    assert run_of(client, log).info.status == "FAILED"


def test_it_can_be_used_again(client, new):
    log = MLflowLogger(**new)
    fit(KnowingDoctor([DEAD, SLOW]), log)
    assert tags_of(client, log) == ILL
    fit(log)
    assert tags_of(client, log) == {}
    assert copy.deepcopy(log)._doctors == []
