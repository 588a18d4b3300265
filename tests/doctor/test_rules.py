"""The rules on histories written by hand: each fault, and its healthy twin."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from keras_ext.doctor import (
    BatchFacts,
    Facts,
    LayerFacts,
    OutputFacts,
    RunHistory,
    diagnose,
)
from keras_ext.doctor.rules.learning_summary import LearningSummary

EPOCHS, SAMPLES = 10, 5
COUNT = EPOCHS * SAMPLES
FALLING = np.geomspace(2.3, 0.1, COUNT)
STUCK = np.full(COUNT, 2.3)


def layers(activation="relu", count=4, std=0.25, **facts):
    hidden = [
        LayerFacts(f"dense_{i}", "Dense", activation, 32, 32, std, **facts)
        for i in range(count)
    ]
    return (*hidden, LayerFacts("out", "Dense", "softmax", 10, 32, 0.2))


def run(
    loss=FALLING,
    norms=(0.3, 0.3, 0.3, 0.3, 0.5),
    update=3e-3,
    facts=None,
    batch=None,
    logs=None,
    finished=True,
    **series,
):
    """Return a history of ten epochs; by default, of a healthy run."""
    facts = facts or Facts(
        layers(),
        (OutputFacts("out", "softmax", 10, "sparse_categorical_crossentropy"),),
        "Adam",
        1e-3,
        parameters=5000,
    )
    columns = {
        f"grad_norm/{layer.path}": np.broadcast_to(norm, COUNT).astype(float)
        for layer, norm in zip(facts.layers, norms, strict=True)
    }
    columns["grad_norm/global"] = np.sqrt(
        np.sum([np.square(c) for c in columns.values()], axis=0)
    )
    columns["update_ratio/global"] = np.broadcast_to(update, COUNT) * 1.0
    columns["loss"] = np.asarray(loss, float)
    columns |= {
        key: np.broadcast_to(np.asarray(v, float), COUNT).copy()
        for key, v in series.items()
    }
    by_epoch = {
        k: v.reshape(EPOCHS, SAMPLES).mean(1) for k, v in columns.items()
    }
    if batch is None:
        batch = BatchFacts(
            x_low=-3,
            x_high=3,
            feature_scales=np.ones(32),
            y_high=9,
            y_mean=4.5,
            y_std=2.9,
            y_whole=True,
            class_shares=np.full(10, 0.1),
            size=32,
        )
    return RunHistory(
        facts,
        batch,
        {"loss": by_epoch["loss"]} | (logs or {}),
        10 * np.arange(COUNT),
        columns,
        by_epoch,
        steps_per_epoch=50,
        planned_epochs=EPOCHS,
        finished=finished,
    )


def only(findings):
    """Return the one finding above info."""
    serious = [f for f in findings if f.severity != "info"]
    assert len(serious) == 1, serious
    return serious[0]


def test_healthy_run_is_silent():
    assert diagnose(run()) == []


def test_early_layers_with_small_gradients_are_fine_in_a_run_that_learns():
    assert diagnose(run(norms=(1e-6, 1e-5, 1e-4, 0.3, 0.5))) == []
    found = only(diagnose(run(STUCK, norms=(1e-6, 1e-5, 1e-4, 0.3, 0.5))))
    assert (found.problem, found.layer) == ("vanishing_gradient", "dense_0")
    assert found.evidence["ratio"] == pytest.approx(2e-6)
    # Hardly anything else can be learned then.
    assert "underfitting" in found.chain


def test_explosion_from_the_first_step():
    facts = dataclasses.replace(run().facts, layers=layers(std=2.0))
    loss = np.full(COUNT, 4e4)
    found = only(diagnose(run(loss, norms=(1e7,) * 5, facts=facts)))
    assert (found.problem, found.step) == ("exploding_gradient", 0)
    assert found.severity == "error"
    # The same norms at a loss as large are the scale of the targets.
    assert diagnose(run(norms=(30.0,) * 5)) == []


def test_explosion_on_the_way():
    norms = np.where(np.arange(COUNT) > 30, 3e4, 0.3)
    loss = np.where(np.arange(COUNT) > 30, 50.0, 2.0)
    found = only(diagnose(run(loss, norms=(norms,) * 5)))
    assert found.problem == "exploding_gradient"
    assert found.step == 310 and found.epoch == 6


def test_nan_without_a_cause():
    loss = np.where(np.arange(COUNT) > 22, np.nan, 1.5)
    found = only(diagnose(run(loss)))
    assert found.problem == "numerical_instability"
    assert (found.step, found.epoch, found.severity) == (230, 4, "error")


def test_skipped_steps_of_loss_scaling_are_no_instability():
    norms = np.where(np.arange(COUNT) < 2, np.inf, 0.3)
    skipped = (np.arange(COUNT) < 2).astype(float)
    assert diagnose(run(norms=(norms,) * 5, skipped_steps=skipped)) == []


@pytest.mark.parametrize(
    "share, learns, severity",
    [
        (0.97, False, "error"),
        (0.8, False, "warning"),
        (0.6, False, None),
        (0.97, True, "info"),
        (0.6, True, None),
        (0.3, False, None),
    ],
)
def test_dying_relu(share, learns, severity):
    dead = np.linspace(0.1, 1, COUNT) ** 0.01 * share
    loss = FALLING if learns else STUCK
    found = diagnose(run(loss, **{"dead_relu/dense_1": dead}))
    found = [f for f in found if f.problem == "dying_relu"]
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(f.layer == "dense_1" for f in found)


def test_all_dead_layers_are_named():
    dead = {f"dead_relu/dense_{i}": 0.95 for i in (1, 2)}
    found = only(diagnose(run(STUCK, **dead, **{"dead_relu/dense_0": 0.2})))
    assert found.layer == "dense_1"
    assert found.message.endswith("cannot come back. Likewise `dense_2`.")
    dead |= {f"dead_relu/dense_{i}": 0.95 for i in (0, 3, 4)}
    found = only(diagnose(run(STUCK, **dead, **{"dead_relu/more": 0.99})))
    assert found.message.endswith(
        "Likewise `dense_0`, `dense_1`, `dense_2` and 2 more."
    )
    assert found.evidence["layers as dead as that"] == 6


def test_weights_that_get_no_gradient_are_not_called_too_slow():
    still = {"update": 1e-9, "norms": (1e-6, 1e-5, 1e-4, 0.3, 0.5)}
    dead = {"dead_relu/dense_0": 1.0}
    assert only(diagnose(run(STUCK, update=1e-9))).problem == (
        "learning_rate_too_low"
    )
    found = only(diagnose(run(STUCK, **still, **dead)))
    assert found.chain == ("dying_relu", "vanishing_gradient", "underfitting")


def test_half_dead_counts_if_the_weights_are_negative_in_the_mean():
    half = {"dead_relu/dense_1": np.linspace(0.2, 0.6, COUNT)}
    leaning = dataclasses.replace(
        run().facts, layers=layers(weight_mean=-0.1, std=0.25)
    )
    # Of a run that learns on, at half of what it could.
    loss = np.geomspace(2.3, 1.2, COUNT)
    found = only(diagnose(run(loss, facts=leaning, **half)))
    assert (found.problem, found.severity) == ("dying_relu", "warning")
    pull = found.evidence["pull of the initial weights below zero (std)"]
    assert pull == pytest.approx(0.1 / 0.25 * np.sqrt(32))
    assert only(diagnose(run(loss, **half))).problem == "too_few_epochs"
    assert diagnose(run(facts=leaning, **half)) == []
    # Layers that were trained before may lean.
    trained = dataclasses.replace(
        leaning, layers=layers(weight_mean=-0.1, bias_size=0.02)
    )
    found = only(diagnose(run(loss, facts=trained, **half)))
    assert found.problem == "too_few_epochs"
    # Behind a normalization the mean of the weights is no matter.
    hidden = [
        part
        for i in range(3)
        for part in (
            LayerFacts(f"d{i}", "Dense", None, 32, 32, 0.25, -0.1),
            LayerFacts(f"n{i}", "LayerNormalization"),
            LayerFacts(f"dense_{i}", "ReLU", "relu"),
        )
    ]
    normal = dataclasses.replace(
        leaning, layers=(*hidden, layers()[-1]), outputs=leaning.outputs
    )
    norms = (0.3,) * 10
    found = only(diagnose(run(loss, norms, facts=normal, **half)))
    assert found.problem == "too_few_epochs"


def test_zeros_are_not_dead_units():
    assert diagnose(run(**{"zero_fraction/dense_1": 0.9})) == []


def test_saturation():
    facts = dataclasses.replace(run().facts, layers=layers("tanh"))
    saturated = {"saturation/dense_0": 0.9}
    found = only(diagnose(run(STUCK, facts=facts, **saturated)))
    assert (found.problem, found.layer) == ("saturated_activation", "dense_0")
    assert diagnose(run(facts=facts, **saturated)) == []
    # The output may be sure of itself.
    found = diagnose(run(STUCK, facts=facts, **{"saturation/out": 0.9}))
    assert "saturated_activation" not in [f.problem for f in found]


def test_large_weights_of_tanh_saturate_and_do_not_explode():
    # The activation may be a layer of its own.
    apart = [
        part
        for i in range(2)
        for part in (
            LayerFacts(f"dense_{i}", "Dense", None, 32, 32, 3.0),
            LayerFacts(f"tanh_{i}", "Activation", "tanh"),
        )
    ]
    facts = dataclasses.replace(run().facts, layers=(*apart, layers()[-1]))
    found = only(
        diagnose(
            run(
                np.full(COUNT, 18.0),
                norms=(2e3,) * 5,
                facts=facts,
                **{"saturation/tanh_1": 0.9},
            )
        )
    )
    assert (found.problem, found.layer) == ("saturated_activation", "tanh_1")


def test_learning_rates():
    found = only(diagnose(run(STUCK, update=0.9)))
    assert found.problem == "learning_rate_too_high"
    assert "underfitting" in found.chain
    found = only(diagnose(run(np.linspace(2.4, 2.38, COUNT), update=1e-6)))
    assert found.problem == "learning_rate_too_low"
    assert found.evidence["learning rate"] == 1e-3
    # In half of a run they may have come half of the way.
    slow = run(np.linspace(2.4, 2.38, COUNT), update=1.5e-4)
    assert only(diagnose(slow)).problem == "learning_rate_too_low"
    half = dataclasses.replace(slow, planned_epochs=20, finished=False)
    assert "learning_rate_too_low" not in [f.problem for f in diagnose(half)]
    # Few steps do not take weights far.
    few = run(np.linspace(2.4, 2.38, COUNT), update=3e-4, finished=False)
    few = dataclasses.replace(few, steps=few.steps // 10, planned_epochs=20)
    assert diagnose(few) == []
    for update in (0.9, 1e-6):
        assert diagnose(run(update=update)) == []


def test_small_steps_from_a_good_start_are_left_alone():
    """A custom loss has no known baseline."""
    facts = dataclasses.replace(
        run().facts, outputs=(OutputFacts("out", "softmax", 10, None),)
    )
    falls = run(np.linspace(0.5, 0.45, COUNT), update=1e-5, facts=facts)
    assert diagnose(falls) == []
    stays = run(np.linspace(0.5, 0.49, COUNT), update=1e-5, facts=facts)
    assert only(diagnose(stays)).problem == "learning_rate_too_low"


def test_smaller_steps_count_if_the_run_fails():
    found = only(diagnose(run(STUCK, update=0.2)))
    assert found.problem == "learning_rate_too_high"
    assert found.evidence["threshold"] == 0.15
    assert only(diagnose(run(STUCK, update=0.1))).problem == "underfitting"
    slow = np.linspace(2.3, 1.5, COUNT)
    found = only(diagnose(run(slow, update=0.2)))
    assert found.problem == "too_few_epochs"


def test_large_steps_count_in_a_run_that_plateaus():
    first = np.where(np.arange(COUNT) < 1, 0.8, 5e-3)
    halfway = 1.0 + 1.3 * np.exp(-np.arange(COUNT) / 3)
    found = only(diagnose(run(halfway, update=first)))
    assert found.problem == "learning_rate_too_high"
    assert "as far as it could" in found.message
    assert diagnose(run(halfway, update=5e-3)) == []
    assert diagnose(run(update=first)) == []  # it gets there


def test_a_loss_that_oscillates():
    waves = np.repeat([2.2, 1.8, 2.0, 1.6, 1.9, 1.5, 1.7, 1.4, 1.4, 1.4], 5)
    found = only(diagnose(run(waves, update=0.03)))
    assert found.problem == "learning_rate_too_high"
    assert found.evidence["epochs in which the loss rose"] == 3
    assert "up and down" in found.message
    # Small steps make no such loss, and a loss that falls is none.
    problems = [f.problem for f in diagnose(run(waves, update=0.015))]
    assert "learning_rate_too_high" not in problems
    assert diagnose(run(np.sort(waves)[::-1], update=0.03)) == []
    # A run that gets on is given until its end.
    low = waves - 0.4
    assert only(diagnose(run(low, update=0.03))).problem == found.problem
    assert diagnose(run(low, update=0.03, finished=False)) == []
    assert diagnose(run(waves - 1.2, update=0.03)) == []


def test_learning_rates_are_changed_by_as_much_as_they_are_wrong():
    high = only(diagnose(run(STUCK, update=20.0)))
    assert "learning_rate=1e-05" in high.remedies[0].change  # of 0.001
    low = only(diagnose(run(STUCK, update=1e-8)))
    assert "learning_rate=10" in low.remedies[0].change


def test_a_custom_validation_loss_is_another_loss():
    unknown = OutputFacts("out", None, None, None, known=False)
    own = Facts(layers(), (unknown,), "Adam", 1e-3)
    own = dataclasses.replace(own, own_train_step=True)
    norms = (1e-6, 1e-4, 1e-2, 0.1, 1.0)
    logs = {"val_loss": np.full(EPOCHS, 0.3)}
    found = only(diagnose(run(STUCK, norms, facts=own, logs=logs)))
    assert found.problem == "vanishing_gradient"
    compiled = dataclasses.replace(own, own_train_step=False)
    assert not diagnose(run(STUCK, norms, facts=compiled, logs=logs))


def test_weights_that_changed_completely_and_still_change_much():
    place = np.arange(COUNT)
    update = np.where(place < 1, 2.0, 0.05)
    found = only(diagnose(run(update=update)))
    assert found.problem == "learning_rate_too_high"
    assert diagnose(run(update=np.where(place < 1, 2.0, 5e-3))) == []
    assert diagnose(run(update=0.05)) == []


def test_a_faint_gradient_counts_if_the_run_fails():
    norms = (2e-3, 1e-2, 0.05, 0.2, 0.5)
    found = only(diagnose(run(STUCK, norms)))
    assert found.problem == "vanishing_gradient"
    assert found.evidence["threshold"] == 0.01
    slow = np.linspace(2.3, 1.5, COUNT)
    assert only(diagnose(run(slow, norms))).problem == "too_few_epochs"


def test_a_training_that_ended_while_the_loss_fell():
    slow = np.linspace(2.3, 1.5, COUNT)
    found = only(diagnose(run(slow)))
    assert (found.problem, found.severity) == ("too_few_epochs", "warning")
    assert found.evidence["decrease of the loss per epoch"] > 0.02
    assert diagnose(run(slow, finished=False)) == []
    assert diagnose(run(slow, logs=curves(np.full(EPOCHS, 2.0)))) == []
    assert diagnose(run(slow, logs=curves(slow[::SAMPLES]))) != []
    # The gradient is almost gone.
    fading = np.geomspace(0.5, 0.001, COUNT)
    norms = tuple(fading * n for n in (1, 1, 1, 1, 1))
    assert diagnose(run(slow, norms)) == []
    assert diagnose(run(np.geomspace(2.3, 0.2, COUNT))) == []
    assert diagnose(run(np.geomspace(2.3, 1.0, COUNT))) == []
    # What is measured in such a run may heal.
    dead = {"dead_relu/dense_1": np.full(COUNT, 0.95)}
    assert diagnose(run(STUCK, **dead))[0].severity == "error"
    steep = np.r_[np.full(20, 2.3), np.linspace(2.3, 1.95, COUNT - 20)]
    found = diagnose(run(steep, **dead))[0]
    assert (found.problem, found.severity) == ("dying_relu", "warning")


def test_a_half_learned_run_is_no_healthy_one():
    half = 1.0 + 1.3 * np.exp(-np.arange(COUNT) / 3)
    names = {layer.path: layer for layer in layers("tanh")}
    facts = dataclasses.replace(run().facts, layers=tuple(names.values()))
    saturated = {"saturation/dense_1": np.full(COUNT, 0.8)}
    found = only(diagnose(run(half, facts=facts, **saturated)))
    assert (found.problem, found.severity) == (
        "saturated_activation",
        "warning",
    )
    batch = dataclasses.replace(run().batch, x_mean=30.0)
    found = only(diagnose(run(half, batch=batch)))
    assert (found.problem, found.severity) == ("unscaled_input", "warning")
    # They are as good as they get, or still on their way.
    for loss in (FALLING, np.linspace(2.3, 1.0, COUNT)):
        found = diagnose(run(loss, facts=facts, **saturated))
        assert "saturated_activation" not in [f.problem for f in found]
        (found,) = diagnose(run(loss, batch=batch))[:1]
        assert found.severity == "info"


def test_layers_that_are_not_trained():
    known = layers()
    frozen = dataclasses.replace(known[1], trainable=False, is_random=True)
    facts = dataclasses.replace(
        run().facts, layers=(known[0], frozen, *known[2:])
    )
    half = 1.0 + 1.3 * np.exp(-np.arange(COUNT) / 3)
    found = only(diagnose(run(half, facts=facts)))
    assert (found.problem, found.layer) == ("frozen_weights", "dense_1")
    assert diagnose(run(facts=facts)) == []
    # The optimizer never got the weights of a layer.
    moves = {f"update_ratio/dense_{i}": 1e-3 * (i != 2) for i in range(4)}
    found = only(diagnose(run(STUCK, **moves)))
    assert (found.problem, found.layer) == ("frozen_weights", "dense_2")
    own = dataclasses.replace(run().facts, own_train_step=True)
    assert diagnose(run(STUCK, facts=own, **moves))[0].problem != (
        "frozen_weights"
    )
    no_gradient = (0.3, 0.3, 0.0, 0.3, 0.5)
    found = diagnose(run(STUCK, no_gradient, **moves))
    assert found[0].problem != "frozen_weights"


def test_a_model_that_predicts_the_most_frequent_class():
    output = OutputFacts("out", "sigmoid", 1, "binary_crossentropy")
    facts = dataclasses.replace(run().facts, outputs=(output,))
    batch = dataclasses.replace(
        run().batch,
        class_shares=np.array([0.9, 0.1]),
        y_mean=0.1,
        y_low=0,
        y_high=1,
    )
    stuck = np.full(COUNT, 0.33)
    given = {"facts": facts, "batch": batch}
    found = only(diagnose(run(stuck, **given)))
    assert found.chain == ("class_imbalance", "underfitting")
    none = {"accuracy": np.full(EPOCHS, 0.9)}
    found = only(diagnose(run(stuck, logs=none, **given)))
    assert found.problem == "class_imbalance"
    some = {"accuracy": np.full(EPOCHS, 0.95)}
    found = diagnose(run(stuck, logs=some, **given))
    assert "class_imbalance" not in [f.problem for f in found]
    even = dataclasses.replace(
        batch, class_shares=np.array([0.6, 0.4]), y_mean=0.4
    )
    found = diagnose(run(2 * stuck, facts=facts, batch=even))
    assert "class_imbalance" not in [f.problem for f in found]


def test_a_branch_without_a_gradient_is_no_vanishing_gradient():
    # Query and key of attention, while it is uniform.
    norms = (0.4, 1e-6, 1e-6, 0.3, 0.5)
    known = dataclasses.replace(
        run().facts,
        layers=(
            dataclasses.replace(layers()[0], is_entry=True),
            *layers()[1:],
        ),
    )
    for facts in (None, known):
        found = diagnose(run(STUCK, norms, facts=facts))
        assert "vanishing_gradient" not in found[0].chain
        found = diagnose(run(STUCK, (1e-6, *norms[1:]), facts=facts))
        assert found[0].problem == "vanishing_gradient"
    # A second input whose layers have a sound gradient.
    two = tuple(
        dataclasses.replace(layer, is_entry=i in (0, 2))
        for i, layer in enumerate(layers())
    )
    facts = dataclasses.replace(run().facts, layers=two)
    found = diagnose(run(STUCK, (1e-6, 1e-6, 0.3, 0.3, 0.5), facts=facts))
    assert "vanishing_gradient" not in found[0].chain


def test_a_gradient_before_a_normalization_is_no_explosion():
    free = tuple(
        dataclasses.replace(
            layer, activation=None, is_normalized=True, feeds=("Dense",)
        )
        for layer in layers()[:-1]
    )
    facts = dataclasses.replace(run().facts, layers=(*free, layers()[-1]))
    norms = (900.0, 900.0, 900.0, 900.0, 0.5)
    problems = [f.problem for f in diagnose(run(STUCK, norms, facts=facts))]
    assert "exploding_gradient" not in problems
    assert diagnose(run(STUCK, norms))[0].problem == "exploding_gradient"


def test_each_measured_step_stands_for_those_up_to_the_next():
    history = run(update=1e-4)
    assert LearningSummary(history).path_length == pytest.approx(
        COUNT * 10 * 1e-4
    )
    sparse = np.r_[0:5, 5:COUNT:5]
    series = {k: v[sparse] for k, v in history.series.items()}
    thinned = dataclasses.replace(
        history, steps=history.steps[sparse], series=series
    )
    length = LearningSummary(thinned).path_length
    assert length == pytest.approx(COUNT * 10 * 1e-4, rel=0.1)


def curves(val, accuracy=None, val_accuracy=None):
    logs = {"val_loss": np.asarray(val, float)}
    if accuracy:
        logs["accuracy"] = np.full(EPOCHS, accuracy)
        logs["val_accuracy"] = np.full(EPOCHS, val_accuracy)
    return logs


def test_overfitting():
    rising = np.r_[2.0, 1.5, 1.2, np.linspace(1.3, 2.5, 7)]
    found = only(diagnose(run(logs=curves(rising, 0.99, 0.6))))
    assert found.problem == "overfitting"
    assert "around epoch 2" in found.message
    assert found.evidence["threshold"] == 0.09
    # A gap that does not hurt is no overfitting.
    assert diagnose(run(logs=curves(rising, 0.99, 0.97))) == []
    assert diagnose(run(logs=curves(np.geomspace(2, 0.2, EPOCHS)))) == []
    # Without an accuracy the losses decide.
    assert only(diagnose(run(logs=curves(rising)))).problem == "overfitting"
    # Few answers, wrong but sure, cost as much as this.
    sure = np.r_[1.5, 0.9, 0.4, np.linspace(0.4, 0.6, 7)]
    assert diagnose(run(logs=curves(sure))) == []


def test_a_balanced_accuracy_is_no_accuracy():
    # The few samples of rare classes make it fall behind in validation.
    rising = np.r_[2.0, 1.5, 1.2, np.linspace(1.3, 2.5, 7)]
    logs = curves(rising, 0.99, 0.97)
    logs["balanced_accuracy"] = np.full(EPOCHS, 0.99)
    logs["val_balanced_accuracy"] = np.full(EPOCHS, 0.4)
    assert diagnose(run(logs=logs)) == []


def test_a_validation_loss_that_swings_is_no_overfitting():
    swings = np.where(np.arange(EPOCHS) % 2, 0.1, 3.0)
    assert diagnose(run(logs=curves(swings, 0.95, 0.6))) == []
    high = np.where(np.arange(EPOCHS) % 2, 2.9, 3.0)
    found = only(diagnose(run(logs=curves(high, 0.95, 0.6))))
    assert found.problem == "overfitting"


def test_validation_accuracy_that_falls_is_a_rise():
    level = np.full(EPOCHS, 0.6)
    logs = curves(level, 0.95, 0.84)
    assert diagnose(run(logs=logs)) == []
    logs["val_accuracy"][:4] = 0.91
    found = only(diagnose(run(logs=logs)))
    assert (found.problem, found.evidence["threshold"]) == ("overfitting", 0.09)


def test_overfitting_of_numbers_of_which_nothing_holds():
    facts = dataclasses.replace(
        run().facts,
        outputs=(OutputFacts("out", None, 1, "mean_absolute_error"),),
    )
    batch = BatchFacts(y_std=1.0, y_unit_std=1.0, size=100)
    loss = np.linspace(0.8, 0.4, COUNT)
    curve = np.full(EPOCHS, 0.8)
    found = only(
        diagnose(run(loss, facts=facts, batch=batch, logs=curves(curve)))
    )
    assert found.problem == "overfitting"
    # It is no more behind than data full of noise make it.
    some = curves(np.full(EPOCHS, 0.7))
    assert diagnose(run(loss, facts=facts, batch=batch, logs=some)) == []


def test_overfitting_needs_something_learned_and_settled_statistics():
    rising = np.r_[2.0, 1.5, 1.2, np.linspace(1.3, 4.5, 7)]
    stuck = run(np.linspace(2.4, 2.2, COUNT), logs=curves(rising, 0.4, 0.1))
    assert "overfitting" not in [f.problem for f in diagnose(stuck)]
    normal = LayerFacts("bn", "BatchNormalization")
    facts = dataclasses.replace(run().facts, layers=(normal, *layers()))
    history = run(norms=(0.3,) * 6, facts=facts, logs=curves(rising, 0.99, 0.6))
    assert only(diagnose(history)).problem == "overfitting"
    early = dataclasses.replace(history, steps=history.steps // 10)
    assert diagnose(early) == []
    # It may settle sooner, which the validation loss shows.
    rests = curves(np.r_[2.0, 1.5, 1.2, np.full(7, 1.9)], 0.99, 0.6)
    for share, problems in ((0.5, []), (0.8, ["overfitting"])):
        sooner = dataclasses.replace(
            history,
            steps=(history.steps * share).astype(int),
            steps_per_epoch=int(50 * share),
            logs=history.logs | rests,
        )
        assert [f.problem for f in diagnose(sooner)] == problems
    # Not near the baseline, where it begins.
    at_baseline = np.r_[2.6, 2.5, 2.4, np.full(7, 1.9)]
    low = at_baseline - 0.5
    for val, problems in ((at_baseline, []), (low, ["overfitting"])):
        soonest = dataclasses.replace(
            history,
            steps=history.steps * 2 // 5,
            steps_per_epoch=20,
            logs=history.logs | curves(val, 0.99, 0.6),
        )
        assert [f.problem for f in diagnose(soonest)] == problems


def test_few_samples_that_are_learned_by_heart():
    facts = dataclasses.replace(
        run().facts,
        outputs=(OutputFacts("out", None, 1, "mean_squared_error"),),
    )
    batch = BatchFacts(y_std=1.0, y_unit_std=1.0, size=8)
    history = run(
        np.geomspace(1.0, 0.005, COUNT),
        facts=facts,
        batch=batch,
        logs=curves(np.r_[0.9, 0.4, 0.2, np.full(7, 0.12)]),
    )
    few = dataclasses.replace(history, steps_per_epoch=4)
    assert only(diagnose(few)).problem == "overfitting"
    assert diagnose(history) == []  # of 400, they may be noisy
    near = curves(np.r_[0.9, 0.4, 0.2, np.full(7, 0.06)])
    assert diagnose(dataclasses.replace(few, logs=few.logs | near)) == []


def test_few_samples_that_are_learned_by_heart_with_an_accuracy():
    batch = dataclasses.replace(run().batch, size=8)
    level = np.r_[0.8, 0.6, np.full(8, 0.5)]
    history = run(
        np.geomspace(2.3, 0.01, COUNT),
        batch=batch,
        logs=curves(level, 1.0, 0.89),
    )
    assert diagnose(history) == []
    few = dataclasses.replace(history, steps_per_epoch=6)
    assert only(diagnose(few)).problem == "overfitting"


def test_accuracy_shows_what_was_learned_where_the_loss_does_not():
    # Few answers, wrong for good, keep the mean of the loss high.
    loss = np.linspace(5.0, 2.0, COUNT)
    val = np.full(EPOCHS, 6.5)
    found = only(diagnose(run(loss, logs=curves(val, 0.88, 0.46))))
    assert found.problem == "overfitting"
    stuck = diagnose(run(loss, logs=curves(val, 0.4, 0.2)))
    assert "overfitting" not in [f.problem for f in stuck]


def test_a_loss_that_falls_back_is_no_underfitting():
    loss = np.r_[np.linspace(2.3, 1.2, COUNT - 15), np.full(15, 2.2)]
    assert "underfitting" not in [f.problem for f in diagnose(run(loss))]
    never = np.r_[np.linspace(2.3, 2.15, COUNT - 15), np.full(15, 2.2)]
    assert "underfitting" in [f.problem for f in diagnose(run(never))]


@pytest.mark.parametrize(
    ("metric", "poor", "fair"),
    [("mae", 1.8, 0.9), ("mean_squared_error", 3.2, 0.9)],
)
def test_errors_above_a_constant_prediction_s_under_a_custom_loss(
    metric, poor, fair
):
    facts = dataclasses.replace(
        run().facts, outputs=(OutputFacts("out", None, 1, None),)
    )
    batch = BatchFacts(y_std=1.0, y_unit_std=1.0, size=16)
    for error, problems in ((poor, ["underfitting"]), (fair, [])):
        logs = {metric: np.full(EPOCHS, error)}
        found = diagnose(run(facts=facts, batch=batch, logs=logs))
        assert [f.problem for f in found] == problems
        assert all(f.severity == "info" for f in found)
    known = dataclasses.replace(
        facts, outputs=(OutputFacts("out", None, 1, "mean_squared_error"),)
    )
    logs = {metric: np.full(EPOCHS, poor)}
    assert diagnose(run(facts=known, batch=batch, logs=logs)) == []


def test_underfitting_is_found_when_the_run_had_its_time():
    loss = 2.1 + 0.3 * np.exp(-np.arange(COUNT) / 5)
    history = run(loss)
    assert only(diagnose(history)).problem == "underfitting"
    early = dataclasses.replace(history, planned_epochs=100, finished=False)
    assert diagnose(early) == []


def test_underfitting_is_not_found_in_a_handful_of_steps():
    drop = LayerFacts("drop", "Dropout", dropout=0.9)
    facts = dataclasses.replace(run().facts, layers=(drop, *layers()))
    for history in (run(STUCK), run(STUCK, (0.3,) * 6, facts=facts)):
        few = dataclasses.replace(history, steps=np.arange(COUNT) // 10)
        assert only(diagnose(history)).problem == "underfitting"
        problems = [finding.problem for finding in diagnose(few)]
        assert "underfitting" not in problems


def test_a_single_epoch_is_no_plateau():
    drop = LayerFacts("drop", "Dropout", dropout=0.9)
    facts = dataclasses.replace(run().facts, layers=(drop, *layers()))
    history = run(STUCK, (0.3,) * 6, facts=facts)
    once = dataclasses.replace(history, logs={"loss": np.array([2.3])})
    assert "training has ended" in only(diagnose(once)).message
    assert "training has plateaued" in only(diagnose(history)).message


def test_what_holds_a_model_back_comes_first():
    drop = LayerFacts("drop", "Dropout", dropout=0.9)
    facts = dataclasses.replace(run().facts, layers=(drop, *layers()))
    # What dropout leaves over it scales up, until nothing is finite.
    wild = np.where(np.arange(COUNT) > 5, np.nan, 900.0)
    found = only(
        diagnose(run(wild, (9e4,) * 6, update=0.9, facts=facts)),
    )
    assert (found.problem, found.layer) == ("underfitting", "drop")
    assert {"learning_rate_too_high", "numerical_instability"} <= set(
        found.chain
    )
    assert diagnose(run(norms=(0.3,) * 6, facts=facts)) == []
    # A layer of two units is no reason for steps that are too large.
    narrow = dataclasses.replace(layers()[0], units=2)
    facts = dataclasses.replace(facts, layers=(narrow, *layers()[1:]))
    found = only(diagnose(run(STUCK, facts=facts)))
    assert found.message.endswith("`dense_0` has only 2 units.")
    found = only(diagnose(run(STUCK, update=0.9, facts=facts)))
    assert found.problem == "learning_rate_too_high"
    # At the end it counts how far it came, and not whether it would go on.
    on = run(np.linspace(2.3, 0.9, COUNT), facts=facts)
    assert only(diagnose(on)).problem == "underfitting"
    assert diagnose(dataclasses.replace(on, finished=False)) == []


def test_a_deep_linear_model_is_found_where_it_is_not_enough():
    linear = tuple(
        dataclasses.replace(layer, activation=None, feeds=("Dense",))
        for layer in layers()[:4]
    )
    out = dataclasses.replace(layers()[-1], feeds=("output",))
    facts = dataclasses.replace(run().facts, layers=(*linear, out))
    loss = 0.9 + 1.4 * np.exp(-np.arange(COUNT) / 5)
    found = only(diagnose(run(loss, facts=facts)))
    assert found.problem == "underfitting"
    assert "linear model" in found.message
    assert diagnose(run(facts=facts)) == []
    unknown = dataclasses.replace(linear[1], feeds=("?",))
    layers_ = (linear[0], unknown, *linear[2:], out)
    facts = dataclasses.replace(facts, layers=layers_)
    assert diagnose(run(loss, facts=facts)) == []


def test_penalties_belong_to_the_baseline():
    output = OutputFacts("out", None, 10, "mean_squared_error")
    weights = layers(penalty=1e-4, penalty_loss=0.0064)
    weights = (*weights[:-1], dataclasses.replace(weights[-1], activation=None))
    facts = dataclasses.replace(run().facts, layers=weights, outputs=(output,))
    batch = BatchFacts(
        y_low=0, y_high=1, y_std=0.2, y_unit_std=0.1, size=10**9, y_units=10
    )
    history = run(0.016 * np.ones(COUNT), facts=facts, batch=batch)
    summary = LearningSummary(history)
    assert summary.baseline == pytest.approx(0.01)
    assert summary.reference == pytest.approx(0.01 + 4 * 0.0064)
    assert diagnose(history) == []


def test_a_penalty_that_rules_the_loss():
    facts = dataclasses.replace(
        run().facts, layers=layers(penalty=0.01, penalty_loss=30.0)
    )
    loss = np.geomspace(120.0, 2.4, COUNT)
    loss[COUNT // 2 :] = 2.4
    found = only(diagnose(run(loss, facts=facts)))
    assert found.problem == "underfitting"
    assert "penalty of 0.01, which adds 30 to the loss" in found.message
    mild = dataclasses.replace(
        run().facts, layers=layers(penalty=0.01, penalty_loss=0.5)
    )
    assert diagnose(run(loss / 10, facts=mild)) == []


def test_large_inputs_that_only_training_keeps_up_with():
    batch = dataclasses.replace(run().batch, x_mean=480.0)
    assert diagnose(run(batch=batch))[0].severity == "info"
    lost = run(batch=batch, logs=curves(np.full(EPOCHS, 14.0)))
    found = only(diagnose(lost))
    assert (found.problem, found.severity) == ("unscaled_input", "warning")
    # The means of batch normalization take their time.
    normal = (LayerFacts("bn", "BatchNormalization"), *layers())
    facts = dataclasses.replace(run().facts, layers=normal)
    early = dataclasses.replace(lost, facts=facts, steps=lost.steps // 10)
    wide = dataclasses.replace(batch, x_std=100.0)
    spread = dataclasses.replace(early, batch=wide)
    assert [f.severity for f in diagnose(spread)] == ["info"]
    # From as far away as this, more than the training has.
    found = only(diagnose(early))
    assert found.problem == "unscaled_input"
    assert "hundreds of steps" in found.message
    begun = {"finished": False, "planned_epochs": 2 * EPOCHS}
    soon = dataclasses.replace(early, **begun)
    assert [f.severity for f in diagnose(soon)] == ["info"]


def test_whole_numbers_are_taken_for_classes_if_the_run_fails_on_them():
    output = OutputFacts("out", None, 1, "mean_squared_error")
    last = LayerFacts("out", "Dense", None, 1, 32, 0.2)
    facts = dataclasses.replace(
        run().facts, layers=(*layers()[:4], last), outputs=(output,)
    )
    batch = BatchFacts(
        y_high=9, y_mean=2, y_std=1.5, y_whole=True, size=32, y_units=1
    )
    (found,) = diagnose(run(facts=facts, batch=batch))
    assert (found.problem, found.severity) == ("output_loss_mismatch", "info")
    found = only(diagnose(run(STUCK, facts=facts, batch=batch)))
    assert found.problem == "output_loss_mismatch"
    assert "underfitting" in found.chain


def test_first_loss_of_large_weights():
    facts = dataclasses.replace(run().facts, layers=layers(std=1.0))
    wide = {f"activation_std/dense_{i}": 3.0 * 5**i for i in range(4)}
    loss = np.full(COUNT, 9.0)
    found = only(diagnose(run(loss, (30.0,) * 5, facts=facts, **wide)))
    assert found.problem == "exploding_gradient"
    assert found.evidence["threshold"] == 3
    assert found.evidence["first loss / baseline"] > 3


def test_large_weights_of_which_only_training_data_recover():
    facts = dataclasses.replace(run().facts, layers=layers(std=1.0))
    wide = {f"activation_std/dense_{i}": 3.0 * 5**i for i in range(4)}
    loss = np.geomspace(9e4, 0.1, COUNT)
    given = {"facts": facts, "norms": (3e4,) * 5, **wide}
    assert (
        diagnose(run(loss, logs=curves(np.geomspace(2e4, 1, 10)), **given))
        == []
    )
    lost = curves(np.geomspace(6e4, 3e4, EPOCHS))
    found = only(diagnose(run(loss, logs=lost, **given)))
    assert found.problem == "exploding_gradient"


def test_causes_come_first_and_take_their_consequences_along():
    dead = {"dead_relu/dense_2": 1.0}
    loss = np.where(np.arange(COUNT) > 5, np.nan, 8.0)
    found = diagnose(run(loss, update=2.0, **dead))
    assert len({p for f in found for p in f.chain}) == sum(
        len(f.chain) for f in found
    )
    batch = dataclasses.replace(
        run().batch,
        x_low=-9e4,
        x_high=9e4,
        x_std=2e4,
        feature_scales=np.full(32, 2e4),
    )
    found = diagnose(run(loss, update=2.0, batch=batch, **dead))
    assert found[0].problem == "unscaled_input"
    assert {"dying_relu", "learning_rate_too_high"} <= set(found[0].chain)
    assert found[0].severity == "error"


def test_a_history_without_anything():
    assert diagnose(RunHistory(Facts())) == []


def test_rules_load_neither_keras_nor_mlflow():
    code = (
        "import sys, types, importlib.util, pathlib\n"
        "package = types.ModuleType('keras_ext')\n"
        "package.__path__ = [sys.argv[1]]\n"
        "sys.modules['keras_ext'] = package\n"
        "import keras_ext.doctor\n"
        "assert not {'keras', 'mlflow', 'tensorflow'} & set(sys.modules)"
    )
    import keras_ext

    done = subprocess.run([sys.executable, "-c", code, keras_ext.__path__[0]])
    assert done.returncode == 0
