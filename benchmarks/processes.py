"""The memory of a long search, in one process and in several.

    KERAS_BACKEND=tensorflow python -m benchmarks.processes

`keras-ext search wine` runs once in one process and once with
`--trials-per-process`. The benchmark reads the resident memory of the process
at the end of each trial. The columns are the growth per trial (the slope of a
straight line through all trials but the first), the memory after the first
trial, at most and at the end, and the time. The limit: 1 MB a trial over 40
trials. Linux only.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import numpy as np


def resident(pid: int) -> float:
    """Return the memory of a process in MB."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def search(
    trials: int, epochs: int, *options: str
) -> tuple[list[float], float]:
    """Return the memory after each trial in MB, and the seconds."""
    used: list[float] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "keras_ext.cli", "search", "wine"),
                *("--trials", str(trials), "--epochs", str(epochs)),
                *("--tracking-uri", f"sqlite:///{folder}/mlflow.db"),
                *("--directory", folder, *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if " | took " in line:
                used.append(resident(process.pid))
        assert process.wait() == 0
    assert len(used) == trials
    return used, time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--per-process", type=int, nargs="+", default=[40, 10])
    args = parser.parse_args()
    print(f"{os.environ['KERAS_BACKEND']}, {args.trials} trials, MB\n")
    print("| trials a process | a trial | first | most | last | time, s |")
    print("|---|---|---|---|---|---|")
    for number in args.per_process:
        used, seconds = search(
            args.trials,
            args.epochs,
            *("--trials-per-process", str(number)),
        )
        growth = np.polyfit(range(len(used) - 1), used[1:], 1)[0]
        print(
            f"| {number} | {growth:+.2f} | {used[0]:.0f} | {max(used):.0f} | "
            f"{used[-1]:.0f} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
