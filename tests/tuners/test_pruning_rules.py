"""Which trial falls behind, by numbers alone."""

import math

import pytest

from keras_ext.tuners import ASHAPruner, MedianPruner, TrialHistory
from keras_ext.tuners.pruning.pruners import get_pruner

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


def finished(*values):
    return TrialHistory(dict(enumerate(values)))


def pruned(*values):
    return TrialHistory(dict(enumerate(values)), finished=False)


def test_a_trial_that_stopped_early_keeps_its_last_value():
    assert finished(0.5, 0.7).at(1) == 0.7
    assert finished(0.5, 0.7).at(9) == 0.7
    assert pruned(0.5, 0.7).at(1) == 0.7
    assert pruned(0.5, 0.7).at(2) is None
    assert TrialHistory({1: 0.5, 3: 0.7}).at(2) == 0.5
    assert TrialHistory({1: 0.5, 3: 0.7}).at(0) is None


@pytest.mark.parametrize(
    ("direction", "value", "judged"),
    [
        ("max", 0.74, "behind the median at epoch 1 (0.74 < 0.75)"),
        ("max", 0.75, None),
        ("max", 0.9, None),
        ("min", 0.76, "behind the median at epoch 1 (0.76 > 0.75)"),
        ("min", 0.75, None),
    ],
)
def test_median(direction, value, judged):
    pruner = MedianPruner(startup_trials=2, warmup_epochs=1)
    others = [finished(0.0, 0.6), finished(0.0, 0.9), pruned(0.0, 0.0)]
    values = {0: 0.0, 1: value}
    assert pruner.judge(1, values, others, direction) == judged


def test_median_waits_for_epochs_and_trials():
    pruner = MedianPruner(startup_trials=2, warmup_epochs=1)
    others = [finished(0.8, 0.8), finished(0.8, 0.8)]
    assert pruner.judge(0, {0: 0.1}, others, "max") is None
    assert pruner.judge(1, {0: 0.1, 1: 0.1}, others[:1], "max") is None
    assert pruner.judge(1, {0: 0.1, 1: 0.1}, others, "max") is not None


def test_median_of_values_that_are_not_finite():
    pruner = MedianPruner(startup_trials=2, warmup_epochs=0)
    nothing = -math.inf
    assert pruner.judge(0, {0: nothing}, [finished(nothing)] * 2, "max") is None
    reason = pruner.judge(0, {0: nothing}, [finished(0.5)] * 2, "max")
    assert reason == "behind the median at epoch 0 (nothing finite < 0.5)"


def test_asha_judges_at_its_rungs_only():
    pruner = ASHAPruner(min_epochs=2, factor=3)
    others = [finished(*[0.9] * 20)] * 5
    values, judged = {}, []
    for epoch in range(20):
        values[epoch] = 0.1
        if pruner.judge(epoch, values, others, "max"):
            judged.append(epoch)
    assert judged == [1, 5, 17]


def test_asha_judges_at_the_first_report_after_a_rung():
    pruner = ASHAPruner(min_epochs=3, factor=2)
    others = [TrialHistory(dict.fromkeys(range(1, 20, 2), 0.9))] * 2
    values, judged = {}, []
    for epoch in range(1, 20, 2):
        values[epoch] = 0.1
        if pruner.judge(epoch, values, others, "max"):
            judged.append(epoch)
    assert judged == [3, 5, 11]


@pytest.mark.parametrize("direction", ["min", "max"])
def test_asha_keeps_its_share(direction):
    pruner = ASHAPruner(min_epochs=1, factor=3)
    sign = 1 if direction == "max" else -1
    others = [pruned(sign * 0.1 * i) for i in range(8)]

    def continues(value, others):
        return pruner.judge(0, {0: sign * value}, others, direction) is None

    assert continues(0.0, [])
    assert continues(0.8, others)
    # The best 3 of 9.
    assert continues(0.55, others)
    assert not continues(0.45, others)
    # One of two: only the best.
    assert continues(0.8, others[:1])
    assert not continues(0.0, others[1:2])


def test_asha_tells_where_the_trial_stands():
    pruner = ASHAPruner(min_epochs=1, factor=2)
    others = [finished(v) for v in (0.9, 0.7, 0.5)]
    reason = pruner.judge(0, {0: 0.4}, others, "max")
    assert reason == "behind the best 2 of 4 at epoch 0 (0.4 < 0.7)"


def test_pruners_by_name():
    assert get_pruner(None) is None
    assert isinstance(get_pruner("median"), MedianPruner)
    asha = ASHAPruner(min_epochs=5)
    assert get_pruner(asha) is asha
    assert repr(asha) == "ASHAPruner(min_epochs=5, factor=4)"


@pytest.mark.parametrize("bad", ["mean", 3, MedianPruner])
def test_unknown_pruners(bad):
    with pytest.raises(ValueError, match="`pruner` must be"):
        get_pruner(bad)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`startup_trials` must be at least 1"):
        MedianPruner(startup_trials=0)
    with pytest.raises(ValueError, match="`warmup_epochs` must not be negat"):
        MedianPruner(warmup_epochs=-1)
    with pytest.raises(ValueError, match="`min_epochs` must be at least 1"):
        ASHAPruner(min_epochs=0)
    with pytest.raises(ValueError, match="`factor` must be at least 2"):
        ASHAPruner(factor=1)
