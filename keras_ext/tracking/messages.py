"""What waits to be sent: plain values, so that they can be kept anywhere."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class Points:
    """Values of one metric, at most one request's worth of them.

    The timestamp is taken when the values are recorded: MLflow's databases
    hold a point once for each (key, timestamp, step, value), so points that
    are sent again after a broken connection are not stored twice.
    """

    run_id: str
    key: str
    steps: Sequence[int] | np.ndarray
    values: Sequence[float] | np.ndarray
    timestamp: int

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Param:
    """One parameter; MLflow never lets it change."""

    run_id: str
    key: str
    value: str

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Tag:
    """One tag."""

    run_id: str
    key: str
    value: str

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Artifact:
    """One file of the run."""

    run_id: str
    path: str
    data: bytes

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Status:
    """The end of the run, in milliseconds since 1970."""

    run_id: str
    status: str
    end_time: int

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Create:
    """A new run.

    `run_id` is an id of our own, known before the store has answered. The
    run bears it as the tag `keras_ext.id`, so that it is found, not made
    once more, if the store's answer is lost.
    """

    run_id: str
    experiment_id: str
    name: str | None
    tags: Mapping[str, str]
    start_time: int
    parent_id: str | None = None

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Reopen:
    """A run that goes on, without the tags of its former end."""

    run_id: str
    forget: Sequence[str]

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Model:
    """A logged model, saved in `folder` as `mlflow.*.save_model` does.

    The folder is removed when the store has the model. The run gets the
    model's id in MLflow as the tag `name`.
    """

    run_id: str
    model_id: str
    name: str
    folder: str
    params: Mapping[str, str]

    def __len__(self) -> int:
        return 1


Message = Points | Param | Tag | Artifact | Status | Create | Reopen | Model
_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (Points, Param, Tag, Artifact, Status, Create, Reopen, Model)
}


def encode(message: Message) -> tuple[str, str, bytes | None]:
    """Return a message as kind, JSON and bytes; `decode` is the inverse."""
    kind = type(message).__name__
    if isinstance(message, Points):
        head = {
            "run_id": message.run_id,
            "key": message.key,
            "timestamp": message.timestamp,
        }
        steps = np.asarray(message.steps, "<i8").tobytes()
        values = np.asarray(message.values, "<f8").tobytes()
        return kind, json.dumps(head), steps + values
    if isinstance(message, Artifact):
        head = {"run_id": message.run_id, "path": message.path}
        return kind, json.dumps(head), message.data
    return kind, json.dumps(asdict(message)), None


def decode(kind: str, text: str, data: bytes | None) -> Message:
    """Return the message that `encode` was given.

    Args:
        kind: Name of its class.
        text: JSON.
        data: Bytes, for points and artifacts.
    """
    cls = _KINDS[kind]
    known = {field.name for field in fields(cls)}
    head = {k: v for k, v in json.loads(text).items() if k in known}
    if cls is Points:
        assert data is not None
        half = len(data) // 2
        head["steps"] = np.frombuffer(data[:half], "<i8")
        head["values"] = np.frombuffer(data[half:], "<f8")
    elif cls is Artifact:
        head["data"] = data
    return cls(**head)
