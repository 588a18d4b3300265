"""Searches that fail, are interrupted, and are resumed."""

import json
import signal

import keras
import pytest

from keras_ext import tracking, tuners
from keras_ext.tracking.outboxes import outbox_for
from keras_ext.tuners.search_tracker import SearchTracker
from tests.tuners import searching
from tests.tuners.searching import artifact, children, parent, statuses, table

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in the second trial's second epoch."""

    fits = 0

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            type(self).fits += 1
            if type(self).fits == 2:
                raise KeyboardInterrupt


@pytest.fixture
def interrupted(tmp_path, tracking_uri):
    Interrupt.fits = 0
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=2)
    with pytest.raises(KeyboardInterrupt):
        searching.search(tuner, callbacks=[Interrupt()])
    return tuner


def test_interrupted_and_resumed(interrupted, tracking_uri, tmp_path):
    assert statuses(interrupted) == [("0", "FINISHED"), ("1", "KILLED")]
    run = parent(interrupted)
    assert run.info.status == "KILLED"
    assert "KeyboardInterrupt" in run.data.tags["reason"]
    killed = children(interrupted)[1]
    assert "KeyboardInterrupt" in killed.data.tags["reason"]
    assert "duration" in killed.data.metrics
    rows = table(interrupted, tmp_path)
    assert [row["status"] for row in rows] == ["FINISHED", "KILLED"]
    assert rows[1]["score"] == ""
    assert artifact(
        interrupted, killed.info.run_id, "gradient_norms.png", tmp_path
    ).startswith(b"\x89PNG")

    resumed = searching.tuner(interrupted.directory, tracking_uri, max_trials=2)
    searching.search(resumed)
    assert resumed.run_id == interrupted.run_id
    run = parent(resumed)
    assert run.info.status == "FINISHED"
    assert "reason" not in run.data.tags
    assert statuses(resumed) == [
        ("0", "FINISHED"),
        ("1", "KILLED"),
        ("1", "FINISHED"),
    ]
    attempts = [c.data.tags["attempt"] for c in children(resumed)]
    assert attempts == ["1", "1", "2"]
    _, first, second = children(resumed)
    assert first.data.params == second.data.params
    rows = table(resumed, tmp_path / "..")
    assert [row["status"] for row in rows] == 2 * ["FINISHED"]


def test_interrupted_inside_the_oracle(tmp_path, tracking_uri, monkeypatch):
    tuner = searching.tuner(tmp_path, tracking_uri)
    populate = tuner.oracle.populate_space

    def interrupt(trial_id):
        # keras-tuner holds its lock here, and will not let go of it.
        if trial_id == "1":
            raise KeyboardInterrupt
        return populate(trial_id)

    monkeypatch.setattr(tuner.oracle, "populate_space", interrupt)
    with pytest.raises(KeyboardInterrupt):
        searching.search(tuner)
    assert parent(tuner).info.status == "KILLED"
    assert statuses(tuner) == [("0", "FINISHED")]


def test_an_interrupt_in_disguise(tmp_path, tracking_uri):
    class Disguise(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException as error:
                raise ValueError("something failed") from error

    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            searching.search(tuner, callbacks=[Disguise()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert statuses(tuner) == [("0", "KILLED")]
    assert parent(tuner).info.status == "KILLED"


def test_a_resumed_search_prints_what_it_has(tmp_path, tracking_uri, capsys):
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    searching.search(tuner)
    assert "Resumed" not in capsys.readouterr().out
    (best,) = tuner.oracle.get_best_trials()
    searching.search(searching.tuner(tmp_path, tracking_uri, max_trials=2))
    lines = capsys.readouterr().out.splitlines()
    first = lines.index(
        "Resumed after 1 trial. The best is trial 0, val_loss "
        f"{best.score:.4f}."
    )
    assert lines[first + 1].startswith("[2/2] trial 1  ")
    assert sum("Resumed" in line for line in lines) == 1


def test_a_torn_search_is_resumed_with_more_trials(tmp_path, tracking_uri):
    """A process that is killed ends nothing."""
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)

    class Gone(BaseException):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise Gone

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Gone):
        patch.setattr(SearchTracker, "break_off", lambda *_: None)
        searching.search(tuner, callbacks=[Kill()])
    # The messages are sent in the background.
    outbox = outbox_for(tuner.client)
    assert outbox.wait(outbox.put())
    assert parent(tuner).info.status == "RUNNING"
    assert statuses(tuner) == [("0", "RUNNING")]

    resumed = searching.tuner(tmp_path, tracking_uri, max_trials=2)
    searching.search(resumed)
    assert resumed.run_id == tuner.run_id
    assert statuses(resumed) == [
        ("0", "KILLED"),
        ("0", "FINISHED"),
        ("1", "FINISHED"),
    ]
    assert "process ended" in children(resumed)[0].data.tags["reason"]
    run = parent(resumed)
    assert run.info.status == "FINISHED"
    assert run.data.params["max_trials"] == "1"
    assert run.data.tags["resumed.max_trials"] == "2"


def test_a_trial_that_fails_twice(tmp_path, tracking_uri):
    def build(hp):
        model = searching.build(hp)
        if build.fails:
            raise ZeroDivisionError("no such layer")
        return model

    build.fails = False
    tuner = searching.tuner(
        tmp_path, tracking_uri, build, max_trials=2, max_retries_per_trial=1
    )
    begin = tuner.on_trial_begin

    def on_trial_begin(trial):
        begin(trial)
        build.fails = trial.trial_id == "0"

    tuner.on_trial_begin = on_trial_begin
    searching.search(tuner)
    assert statuses(tuner) == [
        ("0", "FAILED"),
        ("0", "FAILED"),
        ("1", "FINISHED"),
    ]
    assert parent(tuner).info.status == "FINISHED"
    _, failed, _ = children(tuner)
    assert failed.data.tags["attempt"] == "2"
    assert failed.data.tags["exception"] == "ZeroDivisionError"
    assert "no such layer" in failed.data.tags["reason"]
    trace = artifact(tuner, failed.info.run_id, "traceback.txt", tmp_path)
    assert b"in build" in trace and b"no such layer" in trace
    first, second = table(tuner, tmp_path)
    assert (first["status"], first["score"]) == ("FAILED", "")
    assert second["status"] == "FINISHED"


def test_too_many_failures(tmp_path, tracking_uri):
    def build(hp):
        if searching.build(hp) and build.fails:
            raise ValueError("broken")

    build.fails = False
    model = searching.build
    tuner = searching.tuner(
        tmp_path,
        tracking_uri,
        lambda hp: build(hp) or model(hp),
        max_consecutive_failed_trials=2,
    )
    build.fails = True
    with pytest.raises(
        RuntimeError,
        match="2 trials failed in a row; trial 1 with ValueError: broken",
    ):
        searching.search(tuner)
    assert parent(tuner).info.status == "FAILED"
    assert parent(tuner).data.tags["exception"] == "RuntimeError"
    assert statuses(tuner) == [("0", "FAILED"), ("1", "FAILED")]
    assert [r["status"] for r in table(tuner, tmp_path)] == 2 * ["FAILED"]


def test_a_fatal_error(tmp_path, tracking_uri):
    models = iter([searching.build])

    def build(hp):
        # keras-tuner builds once to learn the space; `width` is all of it.
        hp.Int("width", 1, 2)
        return next(models, lambda hp: "not a model")(hp)

    tuner = searching.tuner(tmp_path, tracking_uri, build)
    with pytest.raises(TypeError, match="valid Keras Model"):
        searching.search(tuner)
    assert statuses(tuner) == [("0", "FAILED")]
    assert children(tuner)[0].data.tags["exception"] == "FatalTypeError"
    assert parent(tuner).info.status == "FAILED"


def test_a_score_that_is_no_number(tmp_path, tracking_uri):
    class Poison(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = float("nan")

    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    searching.search(tuner, callbacks=[Poison()])
    assert statuses(tuner) == [("0", "FAILED")]
    assert "nan" in children(tuner)[0].data.tags["reason"]
    assert parent(tuner).info.status == "FAILED"
    assert parent(tuner).data.tags["reason"] == "no trial finished"


def test_nobody_answers(tmp_path):
    tuner = searching.tuner(tmp_path, "http://me:secret@127.0.0.1:9")
    with pytest.raises(tracking.TrackingError) as error:
        searching.search(tuner)
    assert "secret" not in str(error.value)
    assert tuner.run_id is None
    assert not list((tmp_path / "search").glob("trial_*"))


def test_resumed_in_another_store(tmp_path, tracking_uri):
    tuner = searching.tuner(tmp_path, tracking_uri)
    state = {"run_id": "0" * 32, "store": "sqlite:///other.db", "trials": {}}
    path = tmp_path / "search" / "tracking.json"
    path.write_text(json.dumps(state))
    with pytest.raises(tracking.TrackingError, match="other.db"):
        searching.search(tuner)


def test_an_objective_that_no_trial_reports(tmp_path, tracking_uri):
    tuner = searching.tuner(tmp_path, tracking_uri, objective="val_accuracy")
    with pytest.raises(ValueError, match="`objective` must be .*'val_loss'"):
        searching.search(tuner, epochs=1)
    assert statuses(tuner) == [("0", "FAILED")]


def test_failures_are_printed_in_one_line(tmp_path, tracking_uri, capfd):
    tuner = searching.tuner(
        tmp_path, tracking_uri, max_trials=2, max_model_size=3
    )
    searching.search(tuner, epochs=1)
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert printed.out.count("Oversized model") == 2
    trace = artifact(
        tuner, children(tuner)[0].info.run_id, "traceback.txt", tmp_path
    )
    assert b"FailedTrialError" in trace


def test_the_project_of_another_search(tmp_path, tracking_uri):
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    searching.search(tuner, epochs=1)
    before = statuses(tuner)
    for options, found in (
        ({"objective": "loss"}, "objective 'val_loss'"),
        ({"kind": tuners.GridSearch}, "tuner 'RandomSearch'"),
    ):
        other = searching.tuner(tmp_path, tracking_uri, **options)
        with pytest.raises(ValueError, match=f"search with {found}"):
            searching.search(other, epochs=1)
    assert statuses(tuner) == before
    assert parent(tuner).info.status == "FINISHED"


def test_a_space_without_hyperparameters(tmp_path, tracking_uri):
    def build(hp):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    tuner = searching.tuner(tmp_path / "random", tracking_uri, build)
    searching.search(tuner, epochs=1)
    assert statuses(tuner) == [("0", "FINISHED")]
    tuner = tuners.Hyperband(
        build,
        "val_loss",
        directory=str(tmp_path / "hyperband"),
        tracking_uri=tracking_uri,
        experiment=str(tmp_path),
    )
    with pytest.raises(ValueError, match="`hypermodel` must have"):
        searching.search(tuner)


def test_the_experiment_was_deleted(tmp_path, tracking_uri):
    tuner = searching.tuner(tmp_path, tracking_uri, max_trials=1)
    searching.search(tuner, epochs=1)
    tuner.client.delete_experiment(parent(tuner).info.experiment_id)
    again = searching.tuner(tmp_path, tracking_uri, max_trials=2)
    with pytest.raises(tracking.TrackingError, match="was deleted. Restore"):
        searching.search(again, epochs=1)
    new = searching.tuner(
        tmp_path, tracking_uri, project_name="new", overwrite=True
    )
    with pytest.raises(tracking.TrackingError, match="`experiment` has been"):
        searching.search(new, epochs=1)
    assert list((tmp_path / "search").glob("trial_*/trial.json"))


def test_a_tuner_that_pauses(tmp_path, tracking_uri):
    def search():
        tuner = searching.tuner(tmp_path, tracking_uri, trials_per_call=2)
        searching.search(tuner, epochs=1, verbose=0)
        return tuner

    first = search()
    assert first.is_paused
    assert searching.parent(first).info.status == "RUNNING"
    assert len(searching.children(first)) == 2
    second = search()
    assert not second.is_paused and second.run_id == first.run_id
    assert searching.parent(second).info.status == "FINISHED"
    assert [i for i, _ in searching.statuses(second)] == ["0", "1", "2"]
    with pytest.raises(ValueError, match="Received: trials_per_call=0"):
        searching.tuner(tmp_path, tracking_uri, trials_per_call=0)
