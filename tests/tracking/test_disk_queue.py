"""Messages in queues: in order, for one process, and hard to lose."""

import gc
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from keras_ext._files import InUse
from keras_ext.tracking import messages
from keras_ext.tracking.disk_queue import DiskQueue
from keras_ext.tracking.memory_queue import MemoryQueue
from keras_ext.tracking.run_ids import NeverMade, NotMadeYet
from tests.fresh_process import run_python

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

CREATION = messages.Create("a", "1", "trial 0", {"tag": "Grüße"}, 5, "parent")
ALL = [
    CREATION,
    messages.Param("a", "width", "3"),
    messages.Points("a", "loss", [0, 2**40], [np.nan, -np.inf], 17),
    messages.Tag("a", "key", "value"),
    messages.Artifact("a", "deep/x.bin", bytes(range(256))),
    messages.Model("a", "m", "best_model", "m", {"width": "3"}),
    messages.Reopen("a", ("reason",)),
    messages.Status("a", "KILLED", 18),
]


def everything(message):
    return True


def plain(message):
    if isinstance(message, messages.Points):
        steps = np.asarray(message.steps).tolist()
        values = np.asarray(message.values).tolist()
        return message.key, message.timestamp, steps, repr(values)
    fields = vars(message).items()
    return type(message), {
        key: list(v) if isinstance(v, tuple | list) else v for key, v in fields
    }


@pytest.fixture
def queue(tmp_path):
    queue = DiskQueue(tmp_path)
    yield queue
    queue.close()


def reopened(queue):
    queue.close()
    return DiskQueue(queue.folder)


@pytest.mark.parametrize("message", ALL, ids=lambda r: type(r).__name__)
def test_messages_come_back_as_they_were(message):
    again = messages.decode(*messages.encode(message))
    assert type(again) is type(message)
    assert plain(again) == plain(message) and len(again) == len(message)


def test_order_survives_the_process(queue):
    tags = [messages.Tag("r", str(i), "") for i in range(50)]
    for tag in tags[:40]:
        queue.append([tag])
    queue.drop(queue.head(everything)[:10])
    queue = reopened(queue)
    queue.append(tags[40:])
    assert len(queue) == 40
    assert queue.head(everything) == tags[10:]
    queue.close()


@pytest.mark.parametrize("kind", [MemoryQueue, DiskQueue])
def test_both_queues(kind, tmp_path):
    queue = kind() if kind is MemoryQueue else kind(tmp_path)
    queue.append(ALL)
    taken = queue.head(lambda message: not isinstance(message, messages.Tag))
    assert [type(r) for r in taken] == [type(r) for r in ALL[:3]]
    assert queue.is_first_try() and not queue.is_first_try()
    queue.drop(taken)
    assert type(queue.head(everything)[0]) is messages.Tag
    assert queue.is_first_try() and len(queue) == len(ALL) - 3
    queue.ids.made("a", "b", doubtful=False)
    queue.begin_again([CREATION])
    assert queue.head(everything)[0] == CREATION and len(queue.all()) == 6
    with pytest.raises(NotMadeYet):
        queue.ids.of("a")
    queue["store"] = "x"
    assert (queue["store"], queue["other"]) == ("x", None)
    assert queue.set_aside(queue.head(everything)) == (kind is DiskQueue)
    assert len(queue) + queue.count_aside() == 6
    queue.close()


def test_what_is_set_aside_comes_first_in_the_next_process(queue):
    tags = [messages.Tag("r", str(i), "") for i in range(3)]
    queue.append(tags)
    queue.set_aside(queue.head(everything)[:1])
    assert queue.all() == tags[1:]
    assert (len(queue), queue.count_aside()) == (2, 1)
    queue = reopened(queue)
    assert queue.all() == tags and queue.count_aside() == 0
    queue.close()


def test_a_try_is_remembered(queue):
    queue.append([CREATION])
    queue.head(everything)
    assert queue.is_first_try()
    queue = reopened(queue)
    queue.head(everything)
    assert not queue.is_first_try()
    queue.close()


def test_the_ids_of_runs(queue):
    queue.append([CREATION])
    assert queue.ids.of("unknown") == "unknown"
    with pytest.raises(NotMadeYet):
        queue.ids.of("a")
    queue.ids.made("a", "b", doubtful=True)
    queue = reopened(queue)
    assert queue.ids.of("a") == "b"
    assert queue.ids.creation("a", doubtful=True) == CREATION
    assert queue.ids.still_open() == ["a"]
    queue.append([messages.Status("a", "FINISHED", 1)])
    assert queue.ids.still_open() == []
    queue.ids.refuse("a")
    with pytest.raises(NeverMade):
        queue.ids.of("a")
    queue.close()


def test_models_are_removed_with_their_message_or_without_one(queue):
    for name in ("m", "orphan"):
        (queue.folder / name).mkdir()
        (queue.folder / name / "MLmodel").touch()
    queue.append([ALL[5]])
    queue = reopened(queue)
    assert (queue.folder / "m").is_dir()
    assert not (queue.folder / "orphan").exists()
    queue.drop(queue.head(everything))
    assert not (queue.folder / "m").exists()
    queue.close()


def test_a_full_disk(queue, monkeypatch, caplog):
    tags = [messages.Tag("r", str(i), "") for i in range(6)]
    queue.append(tags[:2])
    writes = queue._writes.executemany

    def full(*args):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(queue._writes, "executemany", full)
    queue.append(tags[2:4])
    monkeypatch.setattr(queue._writes, "executemany", writes)
    queue.append(tags[4:5])  # after those that wait in memory
    assert queue.head(everything) == tags[:5] and len(queue) == 5
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    queue.drop(tags[:3])
    assert queue.head(everything) == tags[3:5]
    queue.drop(tags[3:5])
    queue.append(tags[5:])
    assert len(queue) == 1
    queue = reopened(queue)
    assert queue.all() == tags[5:]
    queue.close()


CHILD = """
import os, signal, sys, pathlib
from keras_ext.tracking import messages
from keras_ext._files import InUse
from keras_ext.tracking.disk_queue import DiskQueue
try:
    queue = DiskQueue(pathlib.Path(sys.argv[1]))
except InUse:
    sys.exit(3)
for i in range(200):
    queue.append([messages.Tag("r", str(i), "")])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_another_process_is_kept_out_and_may_be_killed(queue):
    def child():
        command = (sys.executable, "-c", CHILD, str(queue.folder))
        return subprocess.run(command).returncode

    assert child() == 3
    queue.close()
    assert child() == -signal.SIGKILL
    after = DiskQueue(queue.folder)
    assert [message.key for message in after.all()] == [
        str(i) for i in range(200)
    ]
    with pytest.raises(InUse):
        DiskQueue(queue.folder)
    # Nobody needs to close it.
    del after
    gc.collect()
    DiskQueue(queue.folder).close()


PUT_AND_END = """
import pathlib, sys, time
import mlflow  # as every client does; at the end it is too late
from keras_ext.tracking.outboxes import outbox_in
from keras_ext.tracking.messages import Points

class Slow:
    tracking_uri = "slow"
    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        time.sleep(0.3)
        print(len(metrics), flush=True)

outbox = outbox_in(pathlib.Path(sys.argv[1]), Slow())
outbox.put([Points("run", f"m{i}", [0], [0.0], 1) for i in range(3000)])
"""


def test_the_end_of_the_process_waits_for_a_slow_store(tmp_path):
    out = run_python(PUT_AND_END, tmp_path)
    assert sum(map(int, out.split())) == 3000
    queue = DiskQueue(tmp_path)
    assert len(queue) == 0
    queue.close()
