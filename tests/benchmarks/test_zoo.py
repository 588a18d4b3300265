"""Small models of the zoo: what monitors, doctor and `convert` do to them.

The models are `benchmarks/zoo`'s own, so these tests need no other package.
`make zoo` measures the same on all models.
"""

import copy
import json

import keras
import numpy as np
import pytest

from benchmarks.zoo import conversion, measure, page, registry, runs
from benchmarks.zoo.verdicts import CHECKS, NORM, verdicts
from keras_ext.callbacks import GradientNormLogger
from tests.doc_pages import ROOT

MODELS = {
    "VAE, add_loss": "From scratch: autoencoders",
    "VAE, own train_step": "From scratch: autoencoders",
    "Distillation": "From scratch: distillation, triplets",
    "Siamese triplet": "From scratch: distillation, triplets",
    "ResNet, subclassed": "From scratch: images",
    "Super-resolution": "From scratch: pixels and points",
    "CTC": "From scratch: text and speech",
    "Graph attention": "From scratch: tables and graphs",
    "Wide & Deep": "From scratch: tables and graphs",
    "Deep Q-learning": "From scratch: games",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_monitors_and_convert_keep_a_model(name, tmp_path):
    row = measure.measure(name, MODELS[name], tmp_path)
    row |= conversion.load(tmp_path)
    found = verdicts(row, keras.config.backend())
    assert {
        check: found[check] for check in CHECKS if not found[check].passed
    } == {}
    assert not row["fails"]


@pytest.mark.backend("tensorflow")
def test_norms_are_those_of_the_compiled_step(monkeypatch):
    import tensorflow as tf

    class OtherwiseWhenTraced(keras.layers.Dense):
        def call(self, inputs):
            return super().call(inputs) * (1 if tf.executing_eagerly() else 2)

    def make(name, source):
        model = keras.Sequential([keras.Input((3,)), OtherwiseWhenTraced(1)])
        model.compile("sgd", "mse")
        return registry.Case(model, np.ones((8, 3)), np.ones((8, 1)))

    monkeypatch.setattr(registry, "make", make)
    logger = GradientNormLogger(1)
    runs.train(runs.made("", ""), [logger])
    row = measure._keys("", "", logger)
    assert row["norm_off"] <= NORM and row["keys_off"] <= NORM


@pytest.fixture(scope="module")
def row():
    """A row of a model that passes every check."""
    rows = page.read("torch")
    return next(
        row
        for row in rows.values()
        if all(v.passed for v in verdicts(row, "torch").values())
    )


@pytest.mark.backend("torch")
@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("trains", {"fails": {"plain training": "ValueError: no"}}),
        ("state", {"off": {"metrics": 1e-7}}),
        ("state", {"fails": {"monitors": "ValueError: no"}}),
        ("keys", {"keys_positive": 0}),
        ("keys", {"keys_off": 0.01}),
        ("keys", {"keys_unreadable": ["<object>"]}),
        ("keys", {"keys_not_finite": ["dense"]}),
        ("norm", {"norm_off": 0.001}),
        ("norm", {"norm_off": float("nan")}),
        ("loads", {"plain_load": "TypeError: no"}),
        ("loads", {"plain_load_differs": ["optimizers"]}),
        ("convert", {"fails": {"convert": "ValueError: no"}}),
        ("convert", {"convert_differs": ["loss"]}),
        ("convert", {"outputs_off": 1e-3}),
        ("reload", {"converted_load": "TypeError: no"}),
        ("reload", {"converted_load_differs": ["optimizers"]}),
        ("reload", {"loaded_off": 1e-3}),
    ],
)
def test_a_difference_fails_its_check(row, check, change):
    assert verdicts(copy.deepcopy(row) | change, "torch")[check].passed is False


@pytest.mark.backend("torch")
def test_what_plain_keras_cannot_do_does_not_count(row):
    found = verdicts(row | {"plain_load": "TypeError: no"}, "torch")
    assert found["reload"].passed is None
    lost = {
        "plain_load_differs": ["optimizers"],
        "converted_load_differs": ["optimizers"],
    }
    assert verdicts(row | lost, "torch")["reload"].passed is True
    random = {"off": {"metrics": 0.1}, "off_itself": 0.1}
    assert verdicts(row | random, "torch")["state"].passed is None


@pytest.mark.backend("torch")
def test_rounding_counts_only_beyond_what_training_amplifies(row):
    for off, rounding, op_by_op, passed in (
        (1e-6, 0.0, None, True),
        (0.5, 0.1, 0.0, True),
        (0.5, 0.1, 1e-7, False),
        (0.5, 0.1, None, False),
        (0.5, 0.01, 0.0, False),
    ):
        change = {
            "off": {"optimizers": off},
            "off_rounding": rounding,
            "off_op_by_op": op_by_op,
        }
        assert verdicts(row | change, "jax")["state"].passed is passed


@pytest.mark.backend("torch")
def test_the_page_shows_the_stored_results():
    results = {backend: page.read(backend) for backend in page.BACKENDS}
    assert results["torch"].keys() == registry.all_models().keys()
    stored = (ROOT / "docs" / "zoo.md").read_text("utf-8")
    assert stored == page.page(results)


@pytest.mark.backend("torch")
def test_cells_are_short():
    text = (ROOT / "docs" / "zoo.md").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("|"):
            assert max(len(cell.split()) for cell in line.split("|")) <= 15


@pytest.mark.backend("torch")
def test_results_are_small_and_complete():
    known = registry.all_models()
    for path in (ROOT / "benchmarks" / "zoo" / "results").glob("*.json"):
        assert path.stat().st_size < 300_000
        assert set(json.loads(path.read_text())) <= set(known)
