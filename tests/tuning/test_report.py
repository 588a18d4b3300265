import numpy as np
import pytest

from keras_ext.cli.search import report
from keras_ext.cli.search.definition import (
    BINARY,
    CLASSES,
    REGRESSION,
    Data,
    Split,
)
from keras_ext.cli.search.settings import Settings

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


def row(trial, score, status="FINISHED", **values):
    return {"trial": trial, "score": score, "status": status} | values


def test_best_first_and_the_first_of_equals():
    rows = [
        row("0", None, "KILLED"),
        row("1", 0.9, min_grad_norm=1e-3, dead_relu=0.25),
        row("2", 0.95, batch_normalization=True, learning_rate=0.00123),
        row("3", 0.95),
    ]
    lines = report.table(rows).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2", "3", "1", "0"]
    assert "1.0e-03" in lines[3] and "25%" in lines[3]
    assert lines[4].split()[1] == "-"


def test_no_trials():
    assert report.table([]) == "No trial yet."


def test_low_scores_are_best_where_the_objective_is_an_error():
    rows = [row("0", 0.9), row("1", 0.1), row("2", None, "FAILED")]
    lines = report.table(rows, "val_mae").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "0", "2"]
    assert "val_mae" in lines[0]


def finished(
    y, scores, objective="val_accuracy", kind=BINARY, unit=1.0, **preparation
):
    part = Split(np.zeros((len(y), 1)), np.asarray(y))
    classes = int(part.y.max()) + 1
    data = Data(part, part, part, kind, classes, preparation, unit=unit)
    settings = Settings("csv", objective=objective, tracking_uri="sqlite:///a")
    text = report.Report(settings, data, None, "keras-ext search")
    return text.finished([row("0", 0.9)], scores, "r1", "m-1")


def test_the_commonest_class_stands_beside_the_accuracy():
    scores = {"accuracy": 0.9, "balanced_accuracy": 0.5, "crossentropy": 0.3}
    text = finished([0] * 9 + [1], scores)
    assert (
        "Best trial 0: validation accuracy 90.00%, test accuracy 90.00% "
        "(always the commonest class: 90.00%)\n"
        "  test balanced accuracy 50.00% (always the commonest class: 50.00%)\n"
    ) in text
    assert "no better than the commonest class; --objective val_bal" in text
    text = finished([0] * 9 + [1], scores, "val_balanced_accuracy")
    assert (
        "validation balanced accuracy 90.00%, test balanced accuracy 50.00% "
        "(always the commonest class: 50.00%)\n"
        "  test accuracy 90.00% (always the commonest class: 90.00%)\n"
    ) in text
    assert "no better" not in text
    text = finished([0] * 9 + [1], scores, "val_crossentropy")
    assert "test crossentropy 0.3000\n  test accuracy 90.00% (" in text
    assert "no better" not in finished([0] * 9 + [1], scores | {"accuracy": 1})


def test_classes_in_balance_have_one_accuracy():
    scores = {"accuracy": 0.3, "balanced_accuracy": 0.2, "crossentropy": 0.3}
    text = finished([0, 1, 2, 2], scores, kind=CLASSES)
    assert "test accuracy 30.00% (always the commonest class: 50.00%)" in text
    assert "balanced" not in text


def test_the_best_constant_stands_beside_an_error():
    # The median of the targets is 0, and their mean is 1.
    y, scores = [0.0, 0.0, 0.0, 4.0], {"mae": 0.5, "rmse": 0.25}
    text = finished(y, scores, "val_mae", REGRESSION, unit=10.0)
    assert (
        "test mae 0.5000 (5 in the target's units; always the median: 10)"
    ) in text
    text = finished(y, scores, "val_rmse", REGRESSION, unit=10.0)
    assert (
        "test rmse 0.2500 (2.5 in the target's units; always the mean: 17.32)"
    ) in text


@pytest.mark.parametrize(
    "kind, objective, line",
    [
        (BINARY, "val_accuracy", "  # the probability of 'yes'"),
        (CLASSES, "val_accuracy", '  # probabilities, in the order of how["cl'),
        (REGRESSION, "val_mae", ' * target["deviation"] + target["mean"]'),
    ],
)
def test_predictions_have_a_meaning(kind, objective, line):
    how = {"function": "tuning.tables.prepare", "classes": ["no", "yes"]}
    scores = {"accuracy": 0.9, "mae": 0.1}
    text = finished([0, 1], scores, objective, kind, **how)
    assert f'model.predict(prepare("new.csv", how)){line}' in text


def test_how_to_use_the_model():
    how = {"function": "tuning.tables.prepare", "classes": ["no", "yes"]}
    text = finished([0, 1], {"accuracy": 0.9}, **how)
    assert "predict new rows" in text
    assert "from tuning.tables import prepare" in text
    assert 'load_dict("runs:/r1/preparation.json")' in text
    text = finished([0, 1], {"accuracy": 0.9})
    assert "preparation.json of the search's run" in text
    assert "import prepare" not in text
