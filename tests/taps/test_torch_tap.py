"""What is PyTorch's own in the taps."""

import copy
import functools

import keras
import numpy as np
import pytest

from keras_ext import callbacks, taps
from tests.monitored_models import LAYERS, compiled, data, mlp, state

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.backend("torch")
if keras.config.backend() == "torch":
    from keras_ext.taps import torch as backend, torch_kernels as kernels


def norms(tensors):
    return kernels.norms_of(tensors).double().numpy()


def test_norms_in_whatever_range():
    values = [3e-30, 1e-25, 1e-3, 2.0, 1e15, 1e25, 1e37, 0.0]
    tensors = [torch.full((2, 2), value) for value in values]
    np.testing.assert_allclose(norms(tensors), 2 * np.array(values), rtol=1e-5)


def test_norms_of_large_and_small_entries_together():
    tensor = torch.cat([torch.full((10_000,), 1e-20), torch.full((1,), 1e-15)])
    expected = np.linalg.norm(tensor.double().numpy())
    np.testing.assert_allclose(norms([tensor]), expected, rtol=1e-6)


def test_norms_of_what_is_not_finite():
    inf, nan = float("inf"), float("nan")
    found = norms([torch.tensor([1.0, x]) for x in (inf, -inf, nan)])
    np.testing.assert_array_equal(found, [inf, inf, nan])


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("float16", "float32"),
        ("bfloat16", "float32"),
        ("float64", "float64"),
    ],
)
def test_norms_of_other_dtypes(dtype, result):
    found = kernels.norms_of(
        [torch.tensor([3.0, 4.0], dtype=getattr(torch, dtype)), torch.ones(4)]
    )
    assert found.dtype == getattr(torch, result)
    assert found.tolist() == [5.0, 2.0]


def test_norms_of_a_sparse_gradient_add_up_its_rows():
    gradient = torch.sparse_coo_tensor(
        [[0, 2, 0]],
        torch.tensor([[1.0], [4.0], [2.0]]),
        (5, 1),
        check_invariants=True,
    )
    assert norms([gradient, torch.zeros(0)]).tolist() == [5.0, 0.0]


def test_norms_are_sorted_out_from_several_optimizers():
    first, second = torch.tensor([1.0, 2.0]), torch.tensor([3.0])

    def entry(norms, place, peak=None):
        return kernels.NormEntry(norms, place, peak), None

    peaks = torch.tensor(1.5), torch.tensor(2.5)
    seen = [
        entry(first, 1, peaks[0]),
        (None, None),
        entry(second, 0, peaks[1]),
    ]
    assert kernels.norms(seen).tolist() == [2.0, 0.0, 3.0]
    assert kernels.peaks(seen).tolist() == [1.5, 0.0, 2.5]
    both = [entry(first, 0), entry(first, 1)]
    assert kernels.norms(both) is first
    assert kernels.norms([(None, None)] * 2).tolist() == [0.0, 0.0]


def test_the_peak_of_a_sparse_or_empty_gradient():
    rows = torch.tensor([[1.0], [-4.0], [2.0]])
    gradient = torch.sparse_coo_tensor(
        [[0, 2, 0]], rows, (5, 1), check_invariants=True
    )
    assert kernels.peak_of(gradient).item() == 4.0
    assert kernels.peak_of(torch.zeros(0)).item() == 0.0


def test_update_norms():
    before = [torch.tensor([3.0, 4.0]), torch.zeros(2)]
    after = [torch.tensor([3.0, 3.0]), torch.tensor([0.0, 2.0])]
    found = kernels.update_norms(kernels.update_norms_of(before, after))
    assert found.tolist() == [1.0, 2.0, 5.0, 0.0]
    assert after[0].tolist() == [3.0, 3.0]


def test_norms_and_moments_of_many_entries_lose_nothing():
    x = torch.rand(1 << 24, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.vector_norm(x, dtype=torch.float64)
    # How exact a dot product is differs between processors.
    np.testing.assert_allclose(norms([x]), [exact], rtol=1e-5)
    _, deviation, _ = kernels.moments([([x], None, None)])
    spread = torch.std(x.double(), correction=0)
    np.testing.assert_allclose(deviation, spread, rtol=1e-5)


def test_activity_is_counted_by_hand():
    small = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    channels = torch.zeros(1, 3, 2, 2)
    channels[0, 1, 0, 0] = 7.0
    large = torch.zeros(200, 100)
    large[3, :50] = float("nan")  # not zero, so not dead
    points = [([small], 1), ([channels], 1), ([large], 1), ([small], 1)]
    row = kernels.activity(points)
    expected = [[1, 0], [0, 1 / 4, 0], [1 / 200] * 50 + [0] * 50, [1, 0]]
    np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-6)


def test_activity_is_summed_over_the_uses_of_a_point():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 5.0]])
    row = kernels.activity([([a, b], 1), ([a], 1)])
    np.testing.assert_allclose(row, [1 / 3, 1 / 3, 1, 0], rtol=1e-6)


def test_moments_are_those_of_numpy():
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=(8, 3)).astype("float32") for _ in range(3))
    points = [
        ([a], -1.0, 1.0),
        ([b[:5], c], 0.0, None),
        ([c], None, None),
    ]
    found = kernels.moments(
        [([torch.tensor(x) for x in xs], lo, hi) for xs, lo, hi in points]
    )
    joined = [np.concatenate(xs) for xs, _, _ in points]
    expected = [x.mean() for x in joined] + [x.std() for x in joined]
    expected += [np.mean(np.abs(a) >= 1), np.mean(joined[1] <= 0), 0.0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_gradients_are_read_before_the_optimizer_can_change_them():
    class Greedy(keras.optimizers.SGD):
        def apply(self, grads, trainable_variables=None):
            super().apply(grads, trainable_variables)
            for gradient in grads:
                gradient.zero_()

    x, y = data(samples=32)
    found = []
    for optimizer in (keras.optimizers.SGD(0.1), Greedy(0.1)):
        norms = callbacks.GradientNormLogger()
        model = compiled(mlp, optimizer)
        model.fit(x, y, shuffle=False, callbacks=[norms], verbose=0)
        found.append(norms.epochs["grad_norm/global"][0])
    assert found[0] == found[1] > 0


def test_steps_between_samples_run_the_models_own_function(monkeypatch):
    captures = []

    class Counted(backend.TorchStepCapture):
        def __init__(self, gauges):
            super().__init__(gauges)
            captures.append(self)

    monkeypatch.setattr(backend, "TorchStepCapture", Counted)
    x, y = data(samples=64)
    model = compiled(mlp)
    model.make_train_function()
    own = model.train_function
    norms = callbacks.GradientNormLogger(every_n_steps=4)
    model.fit(x, y, batch_size=8, callbacks=[norms], verbose=0)
    assert model.train_function is own
    functions = backend.TrainFunctions(model, [norms._gauge])
    assert functions.get(()) is own
    assert len(captures) == 2


class Executions(keras.Sequential):
    """Runs several steps in a call, as later versions of Keras do."""

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return

        def steps_on_batches(batches):
            for batch in batches:
                logs = self.train_step(batch)
            return logs

        def steps_on_iterator(batches):
            return steps_on_batches(iter(batches))

        self.train_function = (
            steps_on_iterator if self.takes_iterator else steps_on_batches
        )


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("takes_iterator", [False, True])
@pytest.mark.parametrize("every, size", [(5, 5), (2, 5), (4, 3), ("auto", 7)])
def test_all_steps_of_an_execution_are_seen(every, size, takes_iterator):
    x, y = data(samples=230)

    def fitted(size, *monitors):
        keras.utils.set_random_seed(1)
        model = Executions(mlp().layers)
        model.takes_iterator = takes_iterator
        model.compile(
            "sgd",
            "sparse_categorical_crossentropy",
            steps_per_execution=size,
        )
        model.fit(
            x, y, batch_size=10, epochs=3, verbose=0, callbacks=[*monitors]
        )
        assert "train_step" not in vars(model)
        return model.get_weights()

    def monitors():
        return [
            callbacks.GradientNormLogger(every_n_steps=every),
            callbacks.UpdateRatioLogger(every_n_steps=1),
            callbacks.TrainingDoctor(on_finding=lambda finding: None),
        ]

    single, several = monitors(), monitors()
    for a, b, c in zip(
        fitted(size), fitted(size, *several), fitted(1, *single), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for one, other in zip(single[:2], several[:2], strict=True):
        assert one.steps.keys() == other.steps.keys()
        for key, values in one.steps.items():
            np.testing.assert_array_equal(values, other.steps[key])
    assert len(several[1].steps["step"]) == 69
    np.testing.assert_allclose(
        single[2].history.series["loss"],
        several[2].history.series["loss"],
        rtol=1e-5,
    )


def test_nothing_of_a_step_outlives_it():
    import gc
    import weakref

    captured = []

    class Note(LAYERS.Layer):
        def call(self, x):
            if isinstance(x, torch.Tensor) and not x.is_meta:
                captured.append(weakref.ref(x))
            return x * 1.0

    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(4, activation="relu"),
            Note(),
            LAYERS.Dense(3),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    x, y = data(samples=24)
    dead = callbacks.DeadReLULogger(every_n_steps=1)
    model.fit(x, y, batch_size=8, callbacks=[dead], verbose=0)
    gc.collect()
    assert len(captured) == 3
    assert not any(reference() is not None for reference in captured)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_layer_that_is_left_out_of_a_step_kills_nothing():
    class Sometimes(keras.Model):
        def __init__(self):
            super().__init__()
            self.a = LAYERS.Dense(2, activation="relu", name="a")
            self.b = LAYERS.Dense(2, activation="relu", name="b")
            self.steps = 0

        def call(self, x):
            x = self.a(x)
            self.steps += isinstance(x, torch.Tensor) and not x.is_meta
            return self.b(x) if self.steps < 3 else x

    model = Sometimes()
    model.compile("sgd", "mse")
    dead = callbacks.DeadReLULogger(every_n_steps=1, mostly_dead=None)
    x = np.ones((8, 2))
    model.fit(x, x, batch_size=2, callbacks=[dead], verbose=0)
    assert dead.steps["step"].tolist() == [0, 1]


# PyTorch's compiler warns of its own parts, and of how Keras uses it.
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_step_gives_the_same_numbers(monkeypatch):
    # The graphs are what it takes; to make machine code of them takes long.
    quick = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", quick)
    x = np.linspace(-1.0, 1.0, 24).reshape(12, 2)

    def fitted(jit_compile):
        keras.utils.set_random_seed(7)
        hidden = LAYERS.Dense(4, activation="relu", name="hidden")
        out = LAYERS.Dense(2, name="out")
        model = keras.Sequential([keras.Input((2,)), hidden, out])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        monitors = [
            callbacks.GradientNormLogger(2),
            callbacks.DeadReLULogger(2),
        ]
        model.fit(
            x, x, batch_size=3, shuffle=False, callbacks=monitors, verbose=0
        )
        return model, monitors

    (plain, loggers), (compiled_one, others) = fitted(False), fitted(True)
    for logger, other in zip(loggers, others, strict=True):
        assert logger.steps["step"].tolist() == [0, 2]
        for key, values in logger.steps.items():
            np.testing.assert_allclose(other.steps[key], values, rtol=1e-4)
    for a, b in zip(state(plain), state(compiled_one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_monitored_model_can_be_copied_and_saved(tmp_path):
    x, y = data(samples=16)
    model = compiled(mlp)
    model.fit(x, y, callbacks=[callbacks.GradientNormLogger()], verbose=0)
    copy.deepcopy(model)
    model.save(tmp_path / "model.keras")
    assert taps.weight_groups(keras.models.load_model(tmp_path / "model.keras"))
