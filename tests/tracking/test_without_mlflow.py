"""Without MLflow and Matplotlib imports work, and the first use explains."""

import subprocess
import sys

import pytest

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_missing_packages_are_named():
    out = run(
        BLOCKED
        + """
import keras
import keras_ext
from keras_ext import plots, tracking
from keras_ext.callbacks import mlflow_logger

tracking.environment_tags()
tracking.redact("http://a:b@c")
log = mlflow_logger.MLflowLogger()
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x = keras.ops.ones((4, 2))

def show_error(action):
    try:
        action()
    except ImportError as error:
        print(error)

show_error(tracking.connect)
show_error(lambda: plots.gradient_heatmap({"a": [1.0]}))
show_error(lambda: model.fit(x, x[:, :1], callbacks=[log], verbose=0))
"""
    )
    hint = 'pip install "keras-ext[mlflow]"'
    lines = out.splitlines()
    assert len(lines) == 3 and all(hint in line for line in lines)
    assert "mlflow" in lines[0] and "matplotlib" in lines[1]


@pytest.mark.slow
def test_importing_does_not_import_mlflow():
    out = run(
        "import sys, keras_ext.callbacks.mlflow_logger, keras_ext.tracking\n"
        "print('mlflow' in sys.modules)"
    )
    assert out.split() == ["False"]
