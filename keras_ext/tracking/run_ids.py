"""The runs that began before the store had made them."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from keras_ext.tracking.database import Connection
from keras_ext.tracking.messages import Create, Message, Status

_TABLE = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY,
    mlflow_id TEXT,
    creation TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    doubtful INTEGER NOT NULL DEFAULT 0
)
"""
# In the column `mlflow_id`: the store refused to make the run.
_REFUSED = ""


class NeverMade(Exception):
    """The store refused to make the run."""

    error_code = "RESOURCE_DOES_NOT_EXIST"


class NotMadeYet(Exception):
    """The store has not made the run so far."""


class RunIds:
    """MLflow's id, or `None` so far, for each run id in the messages."""

    def __init__(self, writes: Connection, sends: Connection):
        self._writes = writes  # of the threads that log
        self._sends = sends  # of the thread that sends
        writes.execute(_TABLE)
        self.known: dict[str, str | None] = dict(
            sends.execute("SELECT run, mlflow_id FROM runs")
        )

    def of(self, run_id: str) -> str:
        """Return MLflow's id of a run; return an unknown id unchanged.

        Raises:
            NeverMade: The store refused to make the run.
            NotMadeYet: It has not been made.
        """
        known = self.known.get(run_id, run_id)
        if known is None:
            raise NotMadeYet(f"run {run_id} has not been made yet")
        if known == _REFUSED:
            raise NeverMade(f"run {run_id} could not be made")
        return known

    def note(self, messages: Iterable[Message]) -> None:
        """Keep which runs begin and end in new messages."""
        for message in messages:
            if isinstance(message, Create):
                self.adopt(message, None)
            elif isinstance(message, Status):
                self._writes.execute(
                    "UPDATE runs SET ended = 1 WHERE run = ?", message.run_id
                )

    def adopt(self, creation: Create, mlflow_id: str | None) -> None:
        """Add a run, unless it is known."""
        self._writes.execute(
            "INSERT OR IGNORE INTO runs (run, mlflow_id, creation) "
            "VALUES (?, ?, ?)",
            creation.run_id,
            mlflow_id,
            json.dumps(asdict(creation)),
        )
        if self.known.get(creation.run_id) is None:
            self.known[creation.run_id] = mlflow_id

    def made(self, run_id: str, mlflow_id: str, doubtful: bool) -> None:
        """Keep MLflow's id of a run; doubtful: it may still be made twice."""
        self._sends.execute(
            "UPDATE runs SET mlflow_id = ?, doubtful = ? WHERE run = ?",
            mlflow_id,
            doubtful,
            run_id,
        )
        self.known[run_id] = mlflow_id

    def refuse(self, run_id: str) -> None:
        """Keep that the store will not make a run."""
        self.made(run_id, _REFUSED, False)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Mark runs as not made: they go to another store."""
        for run_id in run_ids:
            self._sends.execute(
                "UPDATE runs SET mlflow_id = NULL WHERE run = ?", run_id
            )
            self.known[run_id] = None

    def creation(self, run_id: str, doubtful: bool = False) -> Create | None:
        """Return how a run (doubtful: one that may exist twice) began here."""
        rows = self._sends.execute(
            "SELECT creation, doubtful FROM runs WHERE run = ?", run_id
        )
        if not rows or (doubtful and not rows[0][1]):
            return None
        return Create(**json.loads(rows[0][0]))

    def still_open(self) -> list[str]:
        """Return the runs that have not ended, the youngest first."""
        rows = self._writes.execute(
            "SELECT run FROM runs WHERE NOT ended ORDER BY rowid DESC"
        )
        return [run for (run,) in rows]
