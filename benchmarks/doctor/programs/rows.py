"""The results: one row for each program and seed, in a file for each half."""

import hashlib
import json
import pathlib
from typing import Any

import keras

from benchmarks.doctor.programs.common import PROGRAMS, Program

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
RESULTS = HERE / "results"
# Besides a program's own file, its outcome depends on these.
CODE = (
    "keras_ext/doctor/**/*.py",
    "keras_ext/callbacks/*.py",
    "keras_ext/taps/*.py",
    "benchmarks/doctor/data.py",
    "benchmarks/doctor/peers.py",
    "benchmarks/doctor/probe.py",
    "benchmarks/doctor/unusual/common.py",
    "benchmarks/doctor/programs/class_layers.py",
    "benchmarks/doctor/programs/common.py",
    "benchmarks/doctor/programs/running.py",
    "benchmarks/doctor/programs/scores.py",
)
Row = dict[str, Any]


def digest(program: Program) -> str:
    """Return a short hash of the code behind a program's row."""
    paths = [path for part in CODE for path in sorted(ROOT.glob(part))]
    text = b"".join(path.read_bytes() for path in paths)
    own = pathlib.Path(program.file).read_bytes()
    return hashlib.sha256(text + own).hexdigest()[:12]


def key(program: Program, seed: int) -> Row:
    """Return what tells a row from others."""
    backend = keras.config.backend()
    return {"name": program.name, "seed": seed, "backend": backend}


def load(half: str) -> list[Row]:
    """Return the rows of a half whose programs still exist."""
    path = RESULTS / f"{half}.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else []
    return [row for row in kept if row["name"] in PROGRAMS]


def find(kept: list[Row], wanted: Row) -> Row | None:
    """Return the row with this key."""
    for row in kept:
        if all(row[name] == value for name, value in wanted.items()):
            return row
    return None


def save(half: str, kept: list[Row]) -> None:
    """Write the rows of a half, a line for each."""
    kept = sorted(kept, key=lambda row: (row["name"], row["seed"]))
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in kept)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{half}.json"
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
