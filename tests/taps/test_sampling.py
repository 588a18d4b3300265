import pytest

from keras_ext.taps import Sampling


def steps_of(sampling, most=200):
    return [step for step in range(most) if sampling.is_due(step)]


@pytest.mark.parametrize("n", [1, 3, 10])
def test_every_nth_step(n):
    assert steps_of(Sampling(n)) == list(range(0, 200, n))


@pytest.mark.parametrize(
    "n, dense, later, expected",
    [
        (10, 3, 50, [0, 10, 20, 30, 80, 130, 180]),
        (10, 0, 50, [0, 50, 100, 150]),
        (1, 2, 60, [0, 1, 2, 62, 122, 182]),
        (7, 1, 90, [0, 7, 97, 187]),
    ],
)
def test_thinned(n, dense, later, expected):
    sampling = Sampling(n, can_thin=True)
    sampling.thin(dense, later)
    assert steps_of(sampling) == expected


def test_four_ways_to_find_the_steps_agree():
    sampling = Sampling(4, can_thin=True)
    for dense, later in ((0, 4), (0, 11), (5, 13), (2, 4)):
        sampling.thin(dense, later)
        due = steps_of(sampling)
        assert [sampling.step_of(i) for i in range(len(due))] == due
        for steps in range(200):
            before = [step for step in due if step < steps]
            assert sampling.samples_in(steps) == len(before)
        for step in range(due[-1]):
            later_ones = [s for s in due if s > step]
            assert sampling.next_due(step) == later_ones[0]


def test_every_step_is_every_step_unless_it_thins():
    assert Sampling(1).is_every_step
    assert not Sampling(2).is_every_step
    assert not Sampling(1, can_thin=True).is_every_step
