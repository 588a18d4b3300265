import pytest

from keras_ext.taps import Sampling


def steps_of(sampling, most=900):
    return [step for step in range(most) if sampling.is_due(step)]


@pytest.mark.parametrize("n", [1, 3, 10])
@pytest.mark.parametrize("first_step", [0, 37])
def test_every_nth_step(n, first_step):
    sampling = Sampling(n)
    sampling.begin_epoch(first_step)
    assert steps_of(sampling, 200) == list(range(0, 200, n))


@pytest.mark.parametrize(
    "first_step, most, expected",
    [
        (0, 300, [0, 10, 20, 30, 40, 50, 100, 150, 200, 250]),
        (30, 200, [0, 10, 20, 70, 120, 170]),
        (50, 50, [0]),
        (200, 450, [0, 50, 100, 150, 200, 300, 400]),
        (400, 800, [0, 100, 200, 300, 400, 500, 600, 700]),
        (10**6, 99, [0]),
    ],
)
def test_the_distance_grows_with_the_training(first_step, most, expected):
    sampling = Sampling("auto")
    sampling.begin_epoch(first_step)
    assert steps_of(sampling, most) == expected


@pytest.mark.parametrize("every_n_steps", [1, 4, "auto"])
def test_four_ways_to_find_the_steps_agree(every_n_steps):
    sampling = Sampling(every_n_steps)
    for first_step in (0, 11, 45, 390):
        sampling.begin_epoch(first_step)
        due = steps_of(sampling)
        assert [sampling.step_of(i) for i in range(len(due))] == due
        for steps in range(400):
            before = [step for step in due if step < steps]
            assert sampling.samples_in(steps) == len(before)
            assert sampling.next_due(steps) == min(s for s in due if s > steps)


def test_every_step_is_every_step():
    assert Sampling(1).is_every_step
    assert not Sampling(2).is_every_step
    assert not Sampling("auto").is_every_step
