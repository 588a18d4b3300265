"""Runs code in interpreters that have not defined or trained anything.

What a component needs to come back from a file shows only there.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile

import keras
import numpy as np

# One job a line: code and arguments come in, what went wrong goes out.
SERVE = """
import json, sys, traceback
import keras_ext

for line in sys.stdin:
    code, args = json.loads(line)
    sys.argv = ["", *args]
    try:
        exec(code, {"__name__": "__main__"})
        error = None
    except BaseException:
        error = traceback.format_exc()
    print("\\nanswer " + json.dumps(error), flush=True)
"""

PREDICT = """
import sys
import keras
import numpy as np

model_path, x_path, out_path = sys.argv[1:]
model = keras.saving.load_model(model_path)
np.save(out_path, model.predict(np.load(x_path), verbose=0))
"""

_loader = None


def run_python(code, *args, env=None, timeout=300):
    """Returns what the code prints; fails, showing stderr, if it fails."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=_environ() | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise AssertionError(
            f"Exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout


def run_in_loader(code, *args):
    """Runs code in a process that has imported keras_ext and nothing else.

    Faster than `run_python`, since all tests of a session share the process;
    so the code must only load and use what it finds in files.
    """
    global _loader
    if _loader is None:
        log = tempfile.TemporaryFile()
        _loader = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            env=_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        _loader.log = log
        atexit.register(_loader.kill)
    _loader.stdin.write(json.dumps([code, [str(arg) for arg in args]]) + "\n")
    _loader.stdin.flush()
    for line in _loader.stdout:
        if line.startswith("answer "):
            error = json.loads(line.removeprefix("answer "))
            assert error is None, error
            return
    _loader.log.seek(0)
    raise AssertionError(_loader.log.read().decode())


def predict_after_reload(model, x, folder):
    """Saves the model and returns its predictions in the other process."""
    paths = [folder / name for name in ("model.keras", "x.npy", "y.npy")]
    model.save(paths[0])
    np.save(paths[1], x)
    run_in_loader(PREDICT, *paths)
    return np.load(paths[2])


def _environ():
    return os.environ | {
        "KERAS_BACKEND": keras.config.backend(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
