"""A search whose MLflow server is away for a minute.

    KERAS_BACKEND=torch python -m benchmarks.outage

The same search runs against a server that is there all the time, and against
a server that is killed in mid-search and started again a minute later. The
output has the seconds of the trials before, during and after the outage, also
in CPU time of the thread that trains (other work on the machine changes the
wall time), how many points waited on disk, and what is in MLflow at the end:
each metric of each epoch must be there exactly once.
"""

import argparse
import contextlib
import io
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import keras
import numpy as np

from keras_ext import tuners
from keras_ext.tracking import TrackingError, connect

EPOCHS = 5


class Server:
    """An MLflow server on loopback, on a database in `folder`."""

    def __init__(self, folder: pathlib.Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        self.command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ]
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, start_new_session=True
            )
        while True:
            with contextlib.suppress(TrackingError):
                connect(self.uri, 30)
                return
            time.sleep(0.5)

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Outage:
    """Ends a server when a trial begins, and starts it again later."""

    def __init__(self, server: Server, seconds: float, trial: int):
        self.server = server
        self.seconds = seconds
        self.trial = trial
        self.began = self.ended = 0.0
        self.waiting = 0
        self._thread: threading.Thread | None = None

    def happens(self, trial: int) -> None:
        """Begin if it is time: when that trial begins."""
        if trial == self.trial and self.seconds:
            self.began = time.monotonic()
            self.server.stop()
            self._thread = threading.Thread(target=self._come_back)
            self._thread.start()

    def _come_back(self) -> None:
        time.sleep(self.seconds)
        self.server.start()
        self.ended = time.monotonic()

    def join(self) -> None:
        """Wait until the server is there again."""
        if self._thread:
            self._thread.join()


def build(hp: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(hp.Int("depth", 2, 4)):
        model.add(keras.layers.Dense(hp.Choice("width", [64, 128]), "relu"))
    model.add(keras.layers.Dense(10, "softmax"))
    model.compile(
        keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, sampling="log")),
        "sparse_categorical_crossentropy",
    )
    return model


def search(server: Server, name: str, args: Any, seconds: float) -> Any:
    """Run a search; return its tuner, the outage, and each trial's times."""
    outage = Outage(server, seconds, args.trials // 4)
    times: list[tuple[float, float, float]] = []
    begun: list[float] = []

    class Timed(tuners.RandomSearch):
        """Keeps begin, wall time and the thread's CPU time of each trial."""

        def on_trial_begin(self, trial: Any) -> None:
            outage.happens(int(trial.trial_id))
            begun[:] = [time.monotonic(), time.thread_time()]
            super().on_trial_begin(trial)

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            wall, cpu = time.monotonic(), time.thread_time()
            outage.waiting = max(outage.waiting, waiting(self))
            times.append((begun[0], wall - begun[0], cpu - begun[1]))

    tuner = Timed(
        build,
        "val_loss",
        max_trials=args.trials,
        seed=1,
        directory=tempfile.mkdtemp(dir=args.folder),
        tracking_uri=server.uri,
        experiment=name,
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(args.samples, 64)).astype("float32")
    y = rng.integers(0, 10, args.samples)
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.search(x, y, validation_split=0.2, epochs=EPOCHS)
    outage.join()
    return tuner, outage, times


def waiting(tuner: Any) -> int:
    """Return how many messages wait to be sent."""
    return len(tuner._run.outbox.queue)


def check(tuner: Any, trials: int) -> str:
    """Return what MLflow has of the trials, or raise."""
    outbox = tuner._run.outbox
    assert outbox.wait(outbox.put(), 300), "messages are left"
    client, run = tuner.client, tuner.client.get_run(tuner.run_id)
    assert run.info.status == "FINISHED", run.info.status
    children = client.search_runs(
        [run.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{tuner.run_id}'",
    )
    assert len(children) == trials, len(children)
    series = points = 0
    for child in children:
        assert child.info.status == "FINISHED", child.info.status
        for key in child.data.metrics:
            seen = client.get_metric_history(child.info.run_id, key)
            steps = [point.step for point in seen]
            assert len(steps) == len(set(steps)), (key, steps)
            if not key.startswith("step/") and len(steps) > 1:
                assert sorted(steps) == list(range(EPOCHS)), (key, steps)
            series, points = series + 1, points + len(steps)
    return (
        f"{len(children)} runs, all FINISHED; {series} series with {points} "
        "points, each step of each once"
    )


def cell(times: list[tuple[float, float, float]]) -> str:
    if not times:
        return "- | -"
    wall = statistics.median(t[1] for t in times)
    cpu = statistics.median(t[2] for t in times)
    return f"{wall:.2f} | {cpu:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        args.folder = folder
        server = Server(pathlib.Path(folder))
        server.start()
        try:
            _, _, calm = search(server, "calm", args, 0.0)
            tuner, outage, times = search(server, "outage", args, args.seconds)
            left = waiting(tuner)
            before = [t for t in times if t[0] < outage.began]
            during = [t for t in times if outage.began <= t[0] < outage.ended]
            after = [t for t in times if t[0] >= outage.ended]
            away = outage.ended - outage.began
            print(f"{keras.config.backend()}, {args.trials} trials\n")
            print("| trials | number | wall, s | CPU of training, s |")
            print("|---|---|---|---|")
            for name, some in (
                ("server always there", calm),
                ("before the outage", before),
                (f"during it ({away:.0f} s)", during),
                ("after it", after),
            ):
                print(f"| {name} | {len(some)} | {cell(some)} |")
            print(
                f"\nmessages waiting: {outage.waiting} at the most, "
                f"{left} when the search had ended"
            )
            print(f"in the end: {check(tuner, args.trials)}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
