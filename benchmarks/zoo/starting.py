"""What a model of many layers costs before its first step is done.

Each number is that of a fresh process: seconds of the processor, on one thread
and so alike on a busy machine, and how far the resident size rises. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Models of 300 layers and more.
LARGE = ["DenseNet121", "InceptionV3", "NASNetMobile", "BERT, 24 blocks"]
KINDS = ["step", "monitored step", "check", "convert"]


def start(name: str, source: str, limit: int) -> dict[str, Any]:
    """Measure each kind in a process of its own."""
    row: dict[str, Any] = {}
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmarks.zoo.starting"]
        command += [name, "--source", source, "--kind", kind]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=limit,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            row[kind] = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError):
            row[kind] = None
    return row


def main() -> None:
    """Measure one kind in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--source", required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    args = parser.parse_args()
    import keras_ext
    from benchmarks.zoo import measure, runs

    case = runs.made(args.name, args.source)
    case.epochs = 1
    work: dict[str, Callable[[], Any]] = {
        "step": lambda: runs.train(case, [], steps=1),
        "monitored step": lambda: runs.train(case, measure.monitors(), steps=1),
        "check": lambda: keras_ext.doctor.check(
            case.model, case.x, case.y, case.batch_size
        ),
        "convert": lambda: keras_ext.convert(case.model, print_fn=None),
    }
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # Sets the highest size back to the present one.
    before, begin = _status("VmRSS"), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work[args.kind]()
    seconds = time.process_time() - begin
    megabytes = (_status("VmHWM") - before) / 1024
    print(json.dumps([round(seconds, 2), round(megabytes)]))


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1])
    raise KeyError(key)


if __name__ == "__main__":
    main()
