"""Whole searches whose MLflow server goes away, for a while or for ever."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import keras
import pytest

from keras_ext import cli
from keras_ext.tracking import connect
from tests.servers import Proxy, Server, needs_servers
from tests.tuners import searching

# No backend takes part: once is enough.
pytestmark = [
    pytest.mark.slow,
    needs_servers,
    pytest.mark.backend("torch"),
]

EPOCHS = 3


@pytest.fixture(scope="module")
def server(tracking_uri, tmp_path_factory):
    with Server(tracking_uri, tmp_path_factory.mktemp("server")) as server:
        yield server


def check(uri, name, expected):
    """Check the trials: number, status and the epochs of each, once."""
    client = connect(uri, 30)
    experiment = client.get_experiment_by_name(name).experiment_id
    runs = client.search_runs(
        [experiment], order_by=["attributes.start_time ASC"]
    )
    parent, *children = runs
    assert parent.info.status == "FINISHED"
    seen = []
    for run in children:
        points = client.get_metric_history(run.info.run_id, "val_loss")
        epochs = [point.step for point in points]
        seen.append((run.data.tags["trial_id"], run.info.status, epochs))
    assert seen == expected
    (model,) = client.search_logged_models([experiment])
    assert model.status == "READY"
    assert parent.data.tags["best_model"] == model.model_id
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"trials.csv", "search_space.json"} <= files


def finished(*trials):
    return [(str(t), "FINISHED", list(range(EPOCHS))) for t in trials]


def test_a_server_that_is_away_for_three_trials(tracking_uri, tmp_path):
    begun = []

    class Outage(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            begun.append(server.process is not None)
            if len(begun) == 2:
                server.stop()
            if len(begun) == 5:
                # It comes back while the search goes on.
                starting.start()

    with Server(tracking_uri, tmp_path) as server:
        starting = threading.Thread(target=server.start)
        tuner = searching.tuner(
            tmp_path, server.uri, max_trials=6, experiment=str(tmp_path)
        )
        searching.search(tuner, callbacks=[Outage()], epochs=EPOCHS)
        starting.join()
        assert begun[:5] == [True, True, False, False, False]
        outbox = tuner._run.outbox
        assert outbox.wait(outbox.put(), 60)
        assert tuner.client.get_run(tuner.run_id).info.status == "FINISHED"
        check(server.uri, str(tmp_path), finished(*range(6)))


SEARCH = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import keras
from tests.tuners import searching
folder, uri, epochs, kill = sys.argv[2:]

class Kill(keras.callbacks.Callback):
    fits = 0
    def on_epoch_end(self, epoch, logs=None):
        Kill.fits += epoch == 0
        if kill == "kill" and Kill.fits == 2 and epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

tuner = searching.tuner(folder, uri, max_trials=3, experiment=folder)
searching.search(tuner, callbacks=[Kill()], epochs=int(epochs))
"""


def test_killed_and_resumed_while_the_server_is_away(server, tmp_path, capsys):
    proxy = Proxy(server.uri)
    made = []

    def only_the_search_s_own_run(number, path):
        made.extend([path] * path.endswith("runs/create"))
        return "refuse" if len(made) > 1 else None

    def search(kill):
        here = pathlib.Path(__file__).parents[2]
        command = (sys.executable, "-W", "ignore", "-c", SEARCH, str(here))
        more = (str(tmp_path), proxy.uri, str(EPOCHS), kill)
        return subprocess.run(
            (*command, *more), capture_output=True, text=True, env=os.environ
        )

    proxy.fault = only_the_search_s_own_run
    assert search("kill").returncode == -signal.SIGKILL
    proxy.fault = lambda number, path: "refuse"
    resumed = search("")
    assert resumed.returncode == 0, resumed.stderr
    folder = tmp_path / "search"
    assert f"keras-ext replay {folder}" in resumed.stderr
    proxy.close()
    # The server has another address now; it knows the search.
    for delivered in ("4 runs", "nothing"):
        assert cli.main(["replay", str(folder), server.uri]) == 0
        assert delivered in capsys.readouterr().out
    # Killed before the second epoch was logged.
    torn = ("1", "KILLED", [0])
    expected = [*finished(0), torn, *finished(1, 2)]
    check(server.uri, str(tmp_path), expected)
