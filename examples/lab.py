"""Common code of the examples: arguments, data, MLflow, the figure.

Each example is a script with one question.
"""

import argparse
import contextlib
import pathlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_ext

Array = np.ndarray


@dataclass
class Run:
    """One run of an example.

    Attributes:
        name: Name of the example, of its figure and of its experiment.
        quick: Whether to run the short form, as the tests do.
        figure: Path of the figure.
        mlflow: MLflow's store, or `None`.
    """

    name: str
    quick: bool
    figure: pathlib.Path
    mlflow: str | None

    def callbacks(self, name: str) -> list[keras.callbacks.Callback]:
        """Return the logger of one `fit` as a run of that name, if any."""
        if self.mlflow is None:
            return []
        return [
            keras_ext.callbacks.MLflowLogger(
                tracking_uri=self.mlflow, experiment=self.name, run_name=name
            )
        ]

    def log(self, metrics: Mapping[str, float]) -> None:
        """Log the numbers that answer the question, if MLflow is on."""
        if self.mlflow is not None:
            import mlflow

            mlflow.log_metrics({k: float(v) for k, v in metrics.items()})

    def save(self, figure: Any) -> None:
        """Save the figure as PNG, log it if MLflow is on, print its path."""
        figure.savefig(self.figure, dpi=120)
        if self.mlflow is not None:
            import mlflow

            mlflow.log_artifact(str(self.figure))
        print(f"Figure: {self.figure}")


@contextlib.contextmanager
def example(doc: str | None) -> Iterator[Run]:
    """Read the command line; with `--mlflow`, open the run of the example.

    The runs of its trainings (`Run.callbacks`) are children of that run.
    """
    name = pathlib.Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a short form")
    parser.add_argument("--figure", type=pathlib.Path, default=f"{name}.png")
    parser.add_argument(
        "--mlflow", metavar="URI", help="log the runs, to sqlite:///mlflow.db"
    )
    args = parser.parse_args()
    run = Run(name, args.quick, pathlib.Path(args.figure), args.mlflow)
    if run.mlflow is None:
        yield run
        return
    import mlflow

    mlflow.set_tracking_uri(run.mlflow)
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name=name):
        yield run


def digits(
    train: int | None = None, seed: int = 0
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return scikit-learn's digits, (x, y) to train on and to validate on.

    Args:
        train: Images to train on. Defaults to `None`: four of five.
        seed: Of the order. In scikit-learn's order the last images are by
            other writers, and more difficult.

    Returns:
        Images of shape `(n, 64)` in [0, 1] and labels 0 to 9. The last fifth
        of 1797 images is for validation.
    """
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float32") / 16, y[order]
    split = 4 * len(x) // 5
    return (x[:split][:train], y[:split][:train]), (x[split:], y[split:])
