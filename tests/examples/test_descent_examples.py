"""What the examples about gradient descent teach, in their short form.

Most take more than five seconds even so, and run on one backend.
"""

import re

import mlflow
import numpy as np
import pytest

pytestmark = [pytest.mark.backend("torch"), pytest.mark.slow]


def numbers(text):
    """Return all numbers of a text."""
    return [float(x) for x in re.findall(r"[-+]?\d*\.?\d+(?:e[-+]\d+)?", text)]


def only(lines, start):
    """Return the one line that begins so."""
    found = [line for line in lines if line.lstrip().startswith(start)]
    assert len(found) == 1, found
    return found[0]


def test_sigmoids_starve_the_first_layer_and_learn_last(run_example):
    done = run_example("activation_study")
    accuracy = {
        name: numbers(only(done.lines, f"{name}  "))[0]
        for name in ("sigmoid", "ReLU", "tanh", "leaky ReLU")
    }
    assert accuracy.pop("sigmoid") < 0.3 and min(accuracy.values()) > 0.7
    assert "at the end holds" in only(done.lines, "sigmoid < ReLU")
    norms = numbers(only(done.lines, "0."))
    assert 20 * norms[0] < min(norms[1:])
    assert "hold at the end" in only(done.lines, "Of the three steps")

    verdict = done.names["verdict"]
    low, high = np.array([0.80, 0.82, 0.81]), np.array([0.90, 0.91, 0.92])
    assert verdict(low, high)[0] == "holds"
    assert verdict(high, low)[0] == "is reversed"
    assert verdict(low, np.array([0.9, 0.7, 0.84]))[0] == "is unclear"


def test_smaller_steps_read_fewer_rows_and_never_rest(run_example):
    done = run_example("descent_trajectories")
    steps, rows, detour, excess = zip(
        *(
            numbers(only(done.lines, name))[-4:]
            for name in ("batch   ", "mini-batch", "stochastic")
        ),
        strict=True,
    )
    assert rows[0] > 10 * rows[1] > 100 * rows[2]
    assert detour[0] < 1.1 and detour[2] > 1.3 * detour[0]
    assert excess[2] > 5 * excess[1]
    assert max(steps) < 4 * min(steps)


def test_small_batches_save_epochs_large_ones_updates_and_noise(run_example):
    done = run_example("batch_size")
    rows = {
        size: numbers(only(done.lines, f"{size} images:"))
        for size in (1, 16, 1280)
    }
    _, _, updates, epochs, _, noise = (
        dict(zip(rows, column, strict=True))
        for column in zip(*rows.values(), strict=True)
    )
    assert epochs[1] < epochs[16] < epochs[1280] == updates[1280]
    assert updates[1] > 2 * updates[1280]
    assert abs(updates[16] / updates[1280] - 1) < 0.3
    # Of a mean of 16 independent images it would be a quarter.
    assert 3 < noise[1] / noise[16] < 5


def test_doctor_finds_learning_rates_too_low_and_too_high(
    run_example, tracking_uri
):
    done = run_example("learning_rate", "--mlflow", tracking_uri)
    lines = {
        rate: only(done.lines, f"learning rate {rate} ")
        for rate in ("0.0001", "0.1", "3")
    }
    finds = {rate: line.split("finds: ")[1] for rate, line in lines.items()}
    assert finds == {
        "0.0001": "learning rate too low",
        "0.1": "nothing wrong",
        "3": "learning rate too high",
    }
    accuracy = {r: numbers(line)[1] for r, line in lines.items()}
    assert accuracy["0.1"] > 0.85 > 0.4 > max(accuracy["0.0001"], accuracy["3"])
    moved = {r: numbers(line)[2] for r, line in lines.items()}
    assert 100 * moved["0.0001"] < moved["0.1"] < 0.1 < moved["3"]
    assert "lower learning rate" in only(done.lines, "At 3 the doctor")

    client = mlflow.MlflowClient(tracking_uri=tracking_uri)
    experiment = client.get_experiment_by_name("learning_rate")
    runs = client.search_runs([experiment.experiment_id])
    named = {run.info.run_name: run for run in runs}
    rates = {f"learning rate {rate}" for rate in lines}
    assert set(named) == {"learning_rate", *rates}
    whole = named["learning_rate"]
    assert whole.data.metrics["accuracy/0.1"] > 0.85
    files = [file.path for file in client.list_artifacts(whole.info.run_id)]
    assert "learning_rate.png" in files
    one = named["learning rate 0.1"]
    history = client.get_metric_history(one.info.run_id, "val_accuracy")
    assert len(history) == 4


def test_twenty_relu_layers_learn_from_he_alone(run_example):
    done = run_example("initialization_depth")
    deepest = only(done.lines, "deepest network that learns")
    assert numbers(deepest) == [0, 0, 2, 20]
    xavier, he = (
        numbers(only(done.lines, "A ReLU passes"))[0],
        numbers(only(done.lines, "scale with Xavier's weights"))[0],
    )
    assert 0.55 < xavier < 0.8 and 0.85 < he < 1.05
    assert "symmetric_units" in only(done.lines, "zero ")
    assert only(done.lines, "He ").endswith("healthy")
