"""What the command line prints before and after a search."""

import math
import shlex
from pathlib import Path
from typing import Any

from tuning.data import Data
from tuning.settings import Settings

_COLUMNS = {
    "trial": "trial",
    "score": "val_accuracy",
    "worst_grad_norm": "weakest gradient",
    "dead_relu": "dead ReLU",
    "status": "status",
    "depth": "depth",
    "width": "width",
    "activation": "activation",
    "initializer": "initializer",
    "optimizer": "optimizer",
    "learning_rate": "rate",
    "dropout": "dropout",
    "batch_normalization": "batch norm",
}


def opening(settings: Settings, folder: Path, data: Data) -> str:
    """Return what is going to be done."""
    images = "/".join(
        f"{len(part.y):,}" for part in (data.train, data.validation, data.test)
    )
    return (
        f"{settings.experiment}: {settings.trials} trials of "
        f"{settings.epochs} epochs, seed {settings.seed}, {images} images to "
        "train/validate/test\n"
        f"folder {folder}, MLflow {settings.tracking_uri}"
    )


def interrupted(
    rows: list[dict[str, Any]], settings: Settings, folder: Path
) -> str:
    """Return what there is so far, and how to go on."""
    command = ["python", "-m", "tuning", settings.dataset, "--resume"]
    if settings.experiment != "digits":
        command += ["--experiment", settings.experiment]
    if str(folder.parent) != "searches":
        command += ["--directory", str(folder.parent)]
    return "\n".join(
        [
            "",
            table(rows),
            "",
            "Interrupted. Go on with this search:",
            f"  {shlex.join(command)}",
            *_where(settings),
        ]
    )


def finished(
    rows: list[dict[str, Any]],
    settings: Settings,
    test_accuracy: float,
    model_id: str | None,
) -> str:
    """Return the trials and what the best one came to."""
    best = _best_first(rows)[0]
    lines = [
        "",
        table(rows),
        "",
        f"Best trial {best['trial']}: validation accuracy "
        f"{best['score']:.2%}, test accuracy {test_accuracy:.2%}",
        *_where(settings),
    ]
    if model_id:
        store = settings.tracking_uri or ""
        lines += [
            "Load the best model (its inputs: standardization.json of the "
            "search's run):",
            "  import keras_ext, mlflow",
            f'  mlflow.set_tracking_uri("{store}")',
            f'  mlflow.keras.load_model("models:/{model_id}")',
        ]
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the trials as text, best first.

    Args:
        rows: As `TrackedTuner.trial_rows` returns them.
    """
    if not rows:
        return "No trial yet."
    cells = [list(_COLUMNS.values())]
    for row in _best_first(rows):
        cells.append([_cell(name, row.get(name)) for name in _COLUMNS])
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def _best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Of equal scores the first one is the best, as it is for the tuner.
    return sorted(
        rows, key=lambda r: math.inf if r["score"] is None else -r["score"]
    )


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "score":
        return f"{value:.4f}"
    if name == "worst_grad_norm":
        return f"{value:.1e}"
    if name == "dead_relu":
        return f"{value:.0%}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _where(settings: Settings) -> list[str]:
    store = settings.tracking_uri or ""
    if store.startswith(("http://", "https://")):
        return [f"See it in MLflow: {store}"]
    return [
        "See it in MLflow (in a checkout also: make ui):",
        f"  mlflow ui --backend-store-uri {shlex.quote(store)}",
    ]
