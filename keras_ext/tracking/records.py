"""What waits to be sent: plain values, so that they can be kept anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

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


Record = Points | Param | Tag | Artifact | Status
