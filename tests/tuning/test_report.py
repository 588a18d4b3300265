from keras_ext.cli.search import report


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
