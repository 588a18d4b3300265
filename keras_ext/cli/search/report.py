"""The text that a search prints before and after its trials."""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ext.cli.search.definition import BINARY, REGRESSION, Data
from keras_ext.cli.search.settings import OBJECTIVES, Settings
from keras_ext.tuners.progress import opened_by

# As `TrackedTuner.trial_rows` returns them.
Rows = list[dict[str, Any]]

# The hyperparameters that fit on a screen; `trials.csv` has all of them.
_RESULTS = ("trial", "score", "min_grad_norm", "dead_relu", "status")
_HYPERPARAMETERS = (
    *("depth", "units", "cell", "filters", "activation", "initializer"),
    *("optimizer", "learning_rate", "batch_size", "dropout"),
    "batch_normalization",
)
_HEADS = {
    "min_grad_norm": "smallest gradient norm",
    "dead_relu": "dead ReLU",
    "learning_rate": "learning rate",
    "batch_size": "batch",
    "batch_normalization": "batch norm",
}


@dataclass
class Report:
    """The texts about one search.

    Attributes:
        settings: The search's settings.
        data: The data.
        folder: The search's folder.
        program: How the user calls the command.
    """

    settings: Settings
    data: Data
    folder: Path
    program: str

    def opening(self) -> str:
        """Return the settings and where the results go."""
        data, settings = self.data, self.settings
        parts = (data.train, data.validation, data.test)
        sizes = [len(part.y) for part in parts]
        use = "train/validate/test"
        if settings.cross_validation:
            sizes = [sizes[0] + sizes[1], sizes[2]]
            use = f"search in {settings.cross_validation} folds/test"
        counts = "/".join(f"{size:,}" for size in sizes)
        tuner = "" if settings.tuner == "random" else f"{settings.tuner}, "
        return "\n".join(
            [
                f"{settings.experiment}: {tuner}"
                f"{_count(settings.trials, 'trial')} of "
                f"{_count(settings.epochs, 'epoch')}, seed {settings.seed}, "
                f"{counts} {data.rows} to {use}",
                *data.notes,
                f"folder {self.folder}, MLflow {settings.tracking_uri}",
            ]
        )

    def unfinished(self, rows: Rows, why: str) -> str:
        """Return why the search ended, its trials, and how to continue."""
        settings = self.settings
        command = [*self.program.split(), settings.dataset, "--resume"]
        if settings.experiment != settings.dataset:
            command += ["--experiment", settings.experiment]
        if str(self.folder.parent) != "searches":
            command += ["--directory", str(self.folder.parent)]
        lines = ["", table(rows, settings.objective), ""]
        lines += [f"{why}. Continue this search:", f"  {shlex.join(command)}"]
        return "\n".join([*lines, *_where(settings)])

    def finished(
        self,
        rows: Rows,
        scores: dict[str, float],
        run_id: str,
        model_id: str | None,
    ) -> str:
        """Return the trials and the results of the best one.

        Args:
            rows: The trials.
            scores: The best model's metrics on the test rows; empty if no
                trial finished.
            run_id: MLflow's id of the search's run.
            model_id: MLflow's id of that model.
        """
        settings = self.settings
        objective = settings.objective or ""
        lines = ["", table(rows, objective), ""]
        best = _best_first(rows, objective)[:1]
        if not scores or not best or best[0]["score"] is None:
            return "\n".join([*lines, "No trial finished.", *_where(settings)])
        metric = objective.removeprefix("val_")
        lines += [
            f"Best trial {best[0]['trial']}: validation {_words(metric)} "
            f"{_value(metric, best[0]['score'])}, {self._test(metric, scores)}",
            *self._other_scores(metric, scores),
            f"  {_all_values(best[0])}",
            *_where(settings),
        ]
        if model_id:
            lines += self._use(run_id, model_id)
        return "\n".join(lines)

    def _use(self, run_id: str, model_id: str) -> list[str]:
        """Return the Python code that loads the best model."""
        store = self.settings.tracking_uri or ""
        lines = [
            "  import keras_ext, mlflow",
            f'  mlflow.set_tracking_uri("{store}")',
            f'  model = mlflow.keras.load_model("models:/{model_id}")',
        ]
        name = self.data.preparation.get("function")
        if name is None:
            head = "preparation.json of the search's run has the preparation"
            return [f"Load the best model ({head} of the inputs):", *lines]
        module, _, function = name.rpartition(".")
        how = f"runs:/{run_id}/preparation.json"
        return [
            "Load the best model and predict new rows:",
            *lines,
            f"  from {module} import {function}",
            f'  how = mlflow.artifacts.load_dict("{how}")',
            *self._predict(f'model.predict({function}("new.csv", how))'),
        ]

    def _predict(self, call: str) -> list[str]:
        """Return the lines that predict, in the target's units or classes."""
        if self.data.kind == REGRESSION:
            return [
                '  target = how["target"]',
                f'  {call} * target["deviation"] + target["mean"]',
            ]
        if self.data.kind == BINARY:
            positive = self.data.preparation["classes"][1]
            return [f"  {call}  # the probability of {positive!r}"]
        return [f'  {call}  # probabilities, in the order of how["classes"]']

    def _test(self, metric: str, scores: dict[str, float]) -> str:
        """Return a metric on the test rows, and what to compare it with."""
        score, data = scores[metric], self.data
        text = f"test {_words(metric)} {_value(metric, score)}"
        if data.kind == REGRESSION:
            what, error = data.constant_error(metric)
            return (
                f"{text} ({score * data.unit:.4g} in the target's units; "
                f"always the {what}: {error * data.unit:.4g})"
            )
        constant = {
            "accuracy": data.commonest_share(),
            "balanced_accuracy": 1 / data.classes,
        }.get(metric)
        if constant is None:
            return text
        return f"{text} (always the commonest class: {constant:.2%})"

    def _other_scores(self, metric: str, scores: dict[str, float]) -> list[str]:
        """Return the accuracies that the objective is not, if they matter."""
        if not self.data.is_unbalanced():
            return []
        others = {"accuracy", "balanced_accuracy"} - {metric}
        lines = [f"  {self._test(name, scores)}" for name in sorted(others)]
        # Keras's accuracies are float32.
        constant = self.data.commonest_share() + 1e-6
        if metric == "accuracy" and scores[metric] <= constant:
            lines.append(
                "  The best model is no better than the commonest class; "
                "--objective val_balanced_accuracy weighs all classes alike"
            )
        return lines


def table(rows: Rows, objective: str | None = "val_accuracy") -> str:
    """Return the trials as text, best first by their score, the objective."""
    if not rows:
        return "No trial yet."
    given = [n for n in _HYPERPARAMETERS if any(n in row for row in rows)]
    names = [*_RESULTS, *given]
    heads = _HEADS | {"score": objective or "score"}
    cells = [[heads.get(name, name) for name in names]]
    for row in _best_first(rows, objective):
        cells.append([_cell(name, row.get(name)) for name in names])
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def _best_first(rows: Rows, objective: str | None) -> Rows:
    # Of equal scores the tuner, too, takes the first as the best.
    sign = -1 if OBJECTIVES.get(objective or "") == "max" else 1
    return sorted(
        rows,
        key=lambda r: math.inf if r["score"] is None else sign * r["score"],
    )


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "score":
        return f"{value:.4f}"
    if name == "min_grad_norm":
        return f"{value:.1e}"
    if name == "dead_relu":
        return f"{value:.0%}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _value(metric: str, value: float) -> str:
    return f"{value:.2%}" if metric.endswith("accuracy") else f"{value:.4f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _all_values(row: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={_cell('', value)}"
        for name, value in row.items()
        if name not in (*_RESULTS, "duration") and value is not None
    )


def _where(settings: Settings) -> list[str]:
    return ["See it in MLflow:", f"  {opened_by(settings.tracking_uri or '')}"]
