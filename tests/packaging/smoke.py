"""Installs a wheel into an empty environment of one backend, and uses it.

    python tests/packaging/smoke.py torch dist/keras_ext-0.1.0-py3-none-any.whl

`make smoke` builds the wheel and does it for each backend. The environment has
the backend and the core, and no extra: those that are missing must be named
with the command that installs them.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
BACKENDS = ("tensorflow", "jax", "torch")
# What is asked of an environment without extras, and which one it names.
MISSING = {
    "keras_ext.tuners": "tuner",
    'keras_ext.tracking.connect("sqlite:///no.db")': "mlflow",
    'keras_ext.plots.gradient_heatmap({"a": [1.0]})': "mlflow",
}
ASK = """
import importlib.util, sys
import keras_ext
for name in {others!r}:
    assert importlib.util.find_spec(name) is None, f"{{name}} is installed"
for use, extra in {missing!r}.items():
    try:
        eval(use)
    except ImportError as error:
        assert f'pip install "keras-ext[{{extra}}]"' in str(error), error
    else:
        sys.exit(f"{{use}} works without [{{extra}}]")
print("only this backend is there; missing extras are named")
"""


def main() -> None:
    """Make the environment, install, train, ask, check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("backend", choices=BACKENDS)
    parser.add_argument("wheel", type=pathlib.Path)
    args = parser.parse_args()
    wheel = args.wheel.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        venv.create(folder / "env", with_pip=True)
        scripts = folder / "env" / "bin"
        python = scripts / "python"
        user = folder / "user"
        user.mkdir()
        pip = (python, "-m", "pip", "install", "--quiet")
        constraints = ROOT / "constraints" / "tested.txt"
        do(user, *pip, f"{wheel}[{args.backend}]", "-c", constraints)

        inside = {"KERAS_BACKEND": args.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        others = [b for b in BACKENDS if b != args.backend]
        ask = ASK.format(others=others, missing=MISSING)
        do(user, python, HERE / "smoke_program.py", ROOT, **inside)
        do(user, python, "-c", ask, **inside)
        command = scripts / "keras-ext"
        data = ("model.keras", "--data", "data.npz")
        told = do(user, command, "check", *data, status=1, **inside)
        if "ERROR: symmetric units" not in told:
            sys.exit("`keras-ext check` did not name the fault")
        told = do(user, command, "search", "wine", status=2, **inside)
        if "keras-ext[tuner]" not in told:
            sys.exit("`keras-ext search` did not name the missing extra")
    print(f"smoke: the wheel works with {args.backend} alone")


def do(
    folder: pathlib.Path, *command: object, status: int = 0, **names: str
) -> str:
    """Run a command in a folder, show what it says, and return it."""
    environment = {**os.environ, **names}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(done.stdout, end="", flush=True)
    if done.returncode != status:
        sys.exit(f"{command[0]}: exit status {done.returncode}, not {status}")
    return done.stdout


if __name__ == "__main__":
    main()
