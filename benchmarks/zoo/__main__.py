"""What monitors, doctor and `convert` do to models that others made.

    KERAS_BACKEND=torch python -m benchmarks.zoo

Each model trains a few steps on toy data, from random weights: plain, with
all monitors, and once more for the gradients of its first step. Then it is
converted, saved, and loaded in a fresh process. The results are one row for
each model in `results/<backend>.json`; `python -m benchmarks.zoo.page` writes
`docs/zoo.md` from them. A model whose row comes from the present source code
is skipped, so an interrupted run continues.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from typing import Any

from benchmarks.zoo import page

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = pathlib.Path(__file__).parents[2]
# One thread for each model, as two are measured at a time. XLA compiles fast,
# and keeps what it compiled for the next run.
ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / "build" / "zoo"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}
# Models that one process measures, and the seconds that one model may take,
# also on a machine that does other things.
BATCH, LIMIT = 6, 1200


def main() -> None:
    """Measure the models that have no row."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="parts of models' names"
    )
    parser.add_argument("--source", default="", help="part of a source's name")
    parser.add_argument("--limit", type=int, help="number of models")
    parser.add_argument(
        "--keep", action="store_true", help="keep rows of older source code"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="models at a time"
    )
    parser.add_argument("--fresh", action="store_true", help="measure again")
    parser.add_argument("--list", action="store_true", help="names only")
    args = parser.parse_args()

    from benchmarks.zoo import registry, starting

    backend = os.environ["KERAS_BACKEND"]
    chosen = {
        name: source
        for name, source in registry.all_models().items()
        if args.source in source and any(part in name for part in args.only)
    }
    if args.list:
        print("\n".join(f"{source}: {name}" for name, source in chosen.items()))
        return
    code = digest_of_code()
    rows = page.read(backend)
    order = registry.all_models()
    # The fast models first, for runs that are interrupted.
    known = page.read("torch")
    seconds = {n: known.get(n, {}).get("seconds", math.inf) for n in order}
    todo = [
        name
        for name in sorted(chosen, key=seconds.__getitem__)
        if args.fresh
        or name not in rows
        or (not args.keep and rows[name].get("code") != code)
    ][: args.limit]
    start = time.perf_counter()
    chunks = [todo[i : i + BATCH] for i in range(0, len(todo), BATCH)]
    with futures.ThreadPoolExecutor(args.workers) as pool:
        running = [pool.submit(measured, chunk) for chunk in chunks]
        for done in futures.as_completed(running):
            for name, row in done.result().items():
                rows[name] = {"source": order[name], "code": code} | row
                print(f"{name}: {summary(row)}", flush=True)
            write(backend, rows, order)
    # Alone, because time is measured.
    for name in set(todo) & set(starting.LARGE):
        if "layers" in rows[name]:
            rows[name]["start"] = starting.start(name, chosen[name], LIMIT)
            write(backend, rows, order)
    print(f"{len(todo)} models, {time.perf_counter() - start:.0f} s")


def measured(names: list[str]) -> dict[str, Any]:
    """Measure models in one process, and load them in another."""
    from benchmarks.zoo import registry

    with tempfile.TemporaryDirectory() as folder:
        rows = in_processes(names, pathlib.Path(folder), load=False)
        written = [
            name
            for name in names
            if any(registry.folder_of(name, folder).glob("*.pickle"))
        ]
        loaded = in_processes(written, pathlib.Path(folder), load=True)
    for name, row in loaded.items():
        fails = rows[name].get("fails", {}) | row.pop("fails", {})
        rows[name] |= row | {"fails": fails}
    return rows


def in_processes(
    names: list[str], folder: pathlib.Path, load: bool
) -> dict[str, Any]:
    """Return a row for each model, also if its process dies."""
    rows: dict[str, Any] = {}
    while True:
        left = [name for name in names if name not in rows]
        if not left:
            return rows
        lines = folder / f"lines-{load}-{len(rows)}.jsonl"
        command = [sys.executable, "-m", "benchmarks.zoo.worker"]
        command += ["--folder", str(folder), "--lines", str(lines)]
        command += ["--load"] if load else []
        command += ["--models", *left]
        died = _run(command, lines)
        done, begun = {}, left[0]
        for text in lines.read_text().splitlines() if lines.exists() else []:
            line = json.loads(text)
            begun = line.get("begins", begun)
            if "row" in line:
                done[line["name"]] = line["row"]
        rows |= done
        if begun not in done:
            part = "loading" if load else "measuring"
            rows[begun] = {"fails": {part: died}}


def _run(command: list[str], lines: pathlib.Path) -> str:
    """Run a process until it ends or a model takes too long."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    begin = time.time()
    while True:
        try:
            _, errors = process.communicate(timeout=10)
            break
        except subprocess.TimeoutExpired:
            last = lines.stat().st_mtime if lines.exists() else begin
            if time.time() - last > LIMIT:
                process.kill()
                process.communicate()
                return f"the process took more than {LIMIT} seconds"
    if process.returncode < 0:
        return f"the process died of {signal.Signals(-process.returncode).name}"
    lines_of_error = errors.strip().splitlines() or ["no output"]
    return f"the process ended: {lines_of_error[-1][:200]}"


def digest_of_code() -> str:
    """Return a digest of what the rows depend on."""
    files = [*ROOT.glob("keras_ext/**/*.py"), *ROOT.glob("benchmarks/zoo/*.py")]
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.name not in ("page.py", "__main__.py"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def write(backend: str, rows: dict[str, Any], order: dict[str, str]) -> None:
    """Write the rows, one a line, in the order of the registry."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(rows[name])}"
        for name in order
        if name in rows
    ]
    page.path_of(backend).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def summary(row: dict[str, Any]) -> str:
    """Return a row in one line of a terminal."""
    shown = {
        key: value
        for key, value in row.items()
        if key not in ("source", "code", "norm", "weights") and value
    }
    return json.dumps(shown)


if __name__ == "__main__":
    main()
