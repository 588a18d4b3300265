"""The model families' examples teach what they say, in their short form."""

import importlib
import pathlib
import re

import numpy as np
import pytest

pytestmark = [pytest.mark.backend("torch"), pytest.mark.slow]

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"


def numbers(text):
    return [float(x) for x in re.findall(NUMBER, text)]


def line(done, start):
    return next(x for x in done.lines if x.startswith(start))


def test_generators_gradient_fades_with_the_saturating_loss_alone(run_example):
    done = run_example("gan_monitor")
    generator, discriminator, faded, other = numbers(done.out)[:4]
    assert 0.1 < generator < 100 and 0.1 < discriminator < 100
    assert faded < generator / 1000 and other > generator / 10
    assert "G's fades under the saturating loss" in done.out


def test_post_norm_fades_through_the_blocks(run_example, tracking_uri):
    done = run_example("transformer_monitor", "--mlflow", tracking_uri)
    pre, post = (
        float(line(done, f"{norm} and 6 blocks").split()[-1].rstrip("."))
        for norm in ("pre-norm", "post-norm")
    )
    assert post < 0.85 and pre > post + 0.1

    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("transformer_monitor")
    runs = {
        run.info.run_name: run
        for run in client.search_runs([experiment.experiment_id])
    }
    assert set(runs) == {"transformer_monitor"} | {
        f"{norm}-norm and {depth} blocks"
        for norm in ("pre", "post")
        for depth in (2, 6)
    }
    answer = runs.pop("transformer_monitor")
    logged = answer.data.metrics["factor/post-norm and 6 blocks"]
    assert logged == pytest.approx(post, abs=0.006)
    assert [x.path for x in client.list_artifacts(answer.info.run_id)] == [
        "transformer_monitor.png"
    ]
    for run in runs.values():
        parent = run.data.tags["mlflow.parentRunId"]
        assert parent == answer.info.run_id
        assert run.data.metrics["grad_norm/block_0_wide"] > 0


def test_frozen_layers_have_no_gradient(run_example):
    done = run_example("transfer_learning")
    assert line(done, "frozen: gradients of ").split()[3:] == ["head"]
    every = ["conv_0", "conv_1", "conv_2", "head"]
    assert line(done, "fine-tuned: gradients of ").split()[3:] == every
    frozen, tuned, scratch = (
        float(line(done, f"{way}  ").split()[-1])
        for way in ("frozen", "fine-tuned", "from scratch")
    )
    assert tuned > frozen + 0.1 and 0.2 < scratch < 1
    assert "each digit fine-tuned is best" in done.out


def test_a_heavy_loss_takes_the_shared_layers(run_example):
    done = run_example("multitask")
    rows = {x: numbers(line(done, x)[12:]) for x in done.names["SETTINGS"]}
    alone, equal = rows["digit alone"], rows["ink x 1"]
    light, heavy = rows["ink x 0.01"], rows["ink x 100"]
    # Norm of the shared gradient, then digit, even, ink.
    assert heavy[0] == pytest.approx(100 * rows["ink alone"][0], rel=0.02)
    assert light[0] < equal[0] < heavy[0]
    assert alone[1] > 0.85 and light[1] > 0.85 > heavy[1] + 0.1
    assert heavy[3] > light[3] + 0.3


def test_thinned_networks_together_come_near_the_scaled_one(run_example):
    done = run_example("dropout_as_ensemble")
    scaled, one, many, root, apart = (
        numbers(line(done, start)[30:])
        for start in (
            "scaled",
            "one",
            "thinned networks",
            "thinned with",
            "trained apart",
        )
    )
    assert one[0] < many[0] - 0.03
    assert abs(many[0] - scaled[0]) < abs(one[0] - scaled[0]) / 3
    gaps = [abs(m[1] - scaled[1]) for m in (root, many, one)]
    assert gaps == sorted(gaps)
    assert apart[1] > scaled[1]
    difference = float(done.out.split("differ by ")[-1].split(".\n")[0])
    assert difference < 1e-5


def test_classic_dropout_with_larger_weights_is_the_inverted_form(
    monkeypatch,
):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("dropout_as_ensemble")
    x = np.random.default_rng(0).uniform(size=(8, 64)).astype("float32")
    inverted = example.build(0, example.RATE)
    classic = example.classic_form(inverted)
    for training in (True, False):
        np.testing.assert_allclose(
            example.predict(inverted, x, training=training),
            example.predict(classic, x, training=training),
            rtol=1e-4,
            atol=1e-6,
        )
    plain = example.build(0, example.RATE, inverted=False)
    plain.set_weights(inverted.get_weights())
    assert not np.allclose(
        example.predict(plain, x), example.predict(inverted, x)
    )
