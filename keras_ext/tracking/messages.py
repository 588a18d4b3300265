"""What waits to be sent: plain values, so that a queue can keep them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class Message:
    """Something for one run. Its length is its number of entries."""

    run_id: str

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, eq=False)
class Points(Message):
    """Values of one metric, at most as many as one request may hold.

    The timestamp is taken when the values are logged: MLflow's databases
    keep a point once for each (key, timestamp, step, value), so points that
    are sent twice are stored once.
    """

    key: str
    steps: Sequence[int] | np.ndarray
    values: Sequence[float] | np.ndarray
    timestamp: int

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Param(Message):
    """One parameter; MLflow keeps its first value."""

    key: str
    value: str


@dataclass(frozen=True)
class Tag(Message):
    """One tag."""

    key: str
    value: str


@dataclass(frozen=True)
class Artifact(Message):
    """One file of the run."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Status(Message):
    """The end of the run, in milliseconds since 1970."""

    status: str
    end_time: int


@dataclass(frozen=True)
class Create(Message):
    """A new run.

    `run_id` is an id of our own, known before the store answers. The run
    gets it as the tag `keras_ext.id`: if the store's answer is lost, the run
    is found by this tag and not made twice.
    """

    experiment_id: str
    name: str | None
    tags: Mapping[str, str]
    start_time: int
    parent_id: str | None = None


@dataclass(frozen=True)
class Reopen(Message):
    """A run that goes on, without the tags of its earlier end."""

    forget: Sequence[str]


@dataclass(frozen=True)
class Model(Message):
    """A logged model, saved in `folder` as `mlflow.*.save_model` does.

    The folder is removed when the store has the model. The run gets MLflow's
    id of the model as the tag `name`.
    """

    model_id: str
    name: str
    folder: str
    params: Mapping[str, str]


_KINDS = {kind.__name__: kind for kind in Message.__subclasses__()}


def encode(message: Message) -> tuple[str, str, bytes | None]:
    """Return the name of a message's class, JSON, and bytes if it has any."""
    content = dict(vars(message))
    data = content.pop("data", None)
    if isinstance(message, Points):
        steps = np.asarray(content.pop("steps"), "<i8").tobytes()
        values = np.asarray(content.pop("values"), "<f8").tobytes()
        data = steps + values
    return type(message).__name__, json.dumps(content), data


def decode(kind: str, text: str, data: bytes | None) -> Message:
    """Return the message that `encode` was given."""
    cls = _KINDS[kind]
    known = {field.name for field in fields(cls)}
    content = {k: v for k, v in json.loads(text).items() if k in known}
    if cls is Points:
        assert data is not None
        half = len(data) // 2
        content["steps"] = np.frombuffer(data[:half], "<i8")
        content["values"] = np.frombuffer(data[half:], "<f8")
    elif cls is Artifact:
        content["data"] = data
    return cls(**content)
