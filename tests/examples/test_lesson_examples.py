"""The lessons of five examples, on the numbers of their quick forms."""

import re

import pytest

pytestmark = [pytest.mark.backend("torch"), pytest.mark.slow]


def number(pattern, text):
    """Return the number that stands where the pattern has its group."""
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in:\n{text}"
    return float(found[1])


def test_one_neuron_learns_and_and_or_but_not_xor(run_example, tracking_uri):
    done = run_example("xor", "--mlflow", tracking_uri)
    assert number(r"AND: learnt with (\d)", done.out) == 2
    assert number(r"OR: learnt with (\d)", done.out) == 2
    assert number(r"XOR: learnt with (\d)", done.out) == 0
    assert "Of the 16 functions 14 are learnt" in done.out
    assert "those that answer 0110 and 1001" in done.out
    assert number(r"more than (\d+)%", done.out) <= 75
    assert number(r"of 8 (\d)\.", done.out) == 2

    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'xor'")
    runs = {
        run.info.run_name: run
        for run in client.search_runs([experiment.experiment_id])
    }
    parent = runs.pop("xor")
    assert sorted(runs) == [
        f"{kind}, seed {seed}"
        for kind in ("2 hidden", "8 hidden", "perceptrons")
        for seed in (0, 1)
    ]
    assert parent.data.metrics["xor_best_accuracy"] <= 0.75
    assert parent.data.metrics["functions"] == 14
    assert [x.path for x in client.list_artifacts(parent.info.run_id)] == [
        "xor.png"
    ]
    for run in runs.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        history = client.get_metric_history(run.info.run_id, "loss")
        assert len(history) == 15


def test_first_layer_learns_strokes_and_large_steps_kill_units(run_example):
    done = run_example("first_layer")
    dead = r"At learning rate {} (\d+)% of the units are dead"
    assert number(dead.format("0.1"), done.out) > 40
    assert number(dead.format("0.003"), done.out) < 25
    before = number(r"correlate by (-?[\d.]+) before", done.out)
    after = number(r"and (-?[\d.]+) after training", done.out)
    assert abs(before) < 0.1 and after > before + 0.15
    # Where there is never ink there is no gradient.
    assert number(r"always blank moved by ([\d.e-]+)\.\n", done.out) == 0
    assert number(r"fires for ([\d.]+) of 10 digits", done.out) > 1


def test_remedies_lower_the_loss_of_an_overfitting_network(run_example):
    done = run_example("overfitting_remedies")
    loss = r"{} +loss ([\d.]+) in training"
    new = r"{} +loss [\d.]+ in training, ([\d.]+) on new"
    assert number(loss.format("no remedy"), done.out) < 0.2
    bare = number(new.format("no remedy"), done.out)
    assert bare > 0.6
    assert number(new.format("5 times the data"), done.out) < bare - 0.1
    assert number(new.format("dropout 0.5"), done.out) < bare - 0.1
    assert "no remedy, 2 of 2 times: The model overfits" in done.out


def test_optimizers_make_the_losses_of_the_built_ins(run_example):
    done = run_example("optimizers")
    assert number(r"differ by at most (\S+) of", done.out) < 1e-3
    order = re.search(r"to the slowest: (.*)\.\n", done.out)[1].split(", ")
    assert sorted(order) == ["Adam", "gradient descent"]
    assert order[0] == "Adam"
    assert number(r"rates of one by (\d+):", done.out) > 3


def test_normalization_helps_though_inputs_are_shifted_again(run_example):
    done = run_example("batch_norm_shift")
    row = r"rate {}, {} +deviation ([\d.]+) to ([\d.]+), the mean jumps by "
    row += r"([\d.]+) of it; mean accuracy ([\d.]+)"

    def numbers(rate, kind):
        found = re.search(row.format(rate, kind), done.out)
        assert found, done.out
        return [float(x) for x in found.groups()]

    first, last, jump, accuracy = numbers("0.3", "plain")
    assert last > 1.3 * first
    first, last, steady, normalized = numbers("0.3", "normalized")
    assert last < 1.1 * first
    assert steady < jump / 3 and normalized > accuracy
    *_, wild, shifted = numbers("0.3", "shifted again")
    assert wild > 3 * steady and shifted > accuracy
    # A learning rate at which the plain network does not learn.
    assert numbers("2", "plain")[-1] < 0.25
    assert numbers("2", "normalized")[-1] > numbers("2", "plain")[-1] + 0.2
