"""Checks of models of which it is known beforehand what is wrong."""

import random
import time

import keras
import numpy as np
import pytest
from keras import ops

from keras_ext.doctor import check
from keras_ext.doctor.rules import shared
from tests.monitored_models import cnn, compiled, data, dropout_mlp, functional

LAYERS = keras.layers
SPARSE = "sparse_categorical_crossentropy"
X, Y = data()


def dense(units=16, activation="relu", **kwargs):
    return LAYERS.Dense(units, activation=activation, **kwargs)


def classifier(*layers, shape=(6,), units=3, activation="softmax", loss=SPARSE):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input(shape), *layers, dense(units, activation, name="out")]
    )
    model.compile("adam", loss)
    return model


def recurrent():
    model = classifier(
        LAYERS.LSTM(4, return_sequences=True, dropout=0.2),
        LAYERS.GRU(4, return_sequences=True),
        LAYERS.SimpleRNN(4, activation="relu"),
        shape=(5, 3),
    )
    return model, *data(shape=(5, 3))


def transformer():
    inputs = keras.Input((5, 8))
    attended = LAYERS.MultiHeadAttention(2, 4, dropout=0.1)(inputs, inputs)
    x = LAYERS.LayerNormalization()(attended + inputs)
    x = LAYERS.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, dense(3, "softmax")(x))
    model.compile("adam", SPARSE)
    return model, *data(shape=(5, 8))


def autoencoder():
    model = classifier(
        LAYERS.Conv2D(4, 3, 2, padding="same", activation="relu"),
        LAYERS.Conv2DTranspose(1, 3, 2, padding="same", activation="sigmoid"),
        shape=(8, 8, 1),
        units=1,
        activation="sigmoid",
        loss="binary_crossentropy",
    )
    x = np.random.default_rng(0).uniform(size=(32, 8, 8, 1))
    return model, x.astype("float32"), x.astype("float32")


def two_outputs():
    inputs = keras.Input((6,))
    hidden = LAYERS.Dropout(0.3)(dense()(inputs))
    outputs = {
        "kind": dense(3, "softmax")(hidden),
        "size": dense(1, None)(hidden),
    }
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"kind": SPARSE, "size": "mse"})
    return model, X, {"kind": Y, "size": X[:, :1]}


def two_inputs():
    a = keras.Input((6,), name="a")
    ids = keras.Input((4,), name="ids", dtype="int32")
    embedded = LAYERS.Flatten()(LAYERS.Embedding(5000, 4)(ids))
    outputs = dense(1, "sigmoid")(LAYERS.concatenate([a, embedded]))
    model = keras.Model({"a": a, "ids": ids}, outputs)
    model.compile("adam", "binary_crossentropy")
    numbers = np.random.default_rng(0).integers(0, 5000, (64, 4))
    return model, {"a": X, "ids": numbers}, Y % 2


class Own(keras.Model):
    def __init__(self, activation="softmax"):
        super().__init__()
        self.last = dense(3, activation, name="last")
        self.drop = LAYERS.Dropout(0.2)
        self.first = dense(8, None, name="first")

    def call(self, x, training=False):
        return self.last(self.drop(ops.relu(self.first(x)), training=training))


def subclassed():
    model = Own()
    model.compile("adam", SPARSE)
    model(X[:2])
    return model, X, Y


HEALTHY = {
    "mlp": lambda: (compiled(dropout_mlp), X, Y),
    "cnn": lambda: (compiled(cnn), *data(shape=(8, 8, 2))),
    "functional": lambda: (compiled(functional), X, Y),
    "recurrent": recurrent,
    "transformer": transformer,
    "autoencoder": autoencoder,
    "two_outputs": two_outputs,
    "two_inputs": two_inputs,
    "subclassed": subclassed,
    "deep": lambda: (
        classifier(*[dense(kernel_initializer="he_normal") for _ in range(12)]),
        X,
        Y,
    ),
    "sigmoid": lambda: (
        classifier(*[dense(activation="sigmoid") for _ in range(3)]),
        X,
        Y,
    ),
    "regression": lambda: (
        classifier(dense(), units=1, activation=None, loss="mse"),
        X,
        100 * X[:, 0] + 200,
    ),
    "a linear model from zero": lambda: (from_zero(), X, Y),
    "a head from zero": lambda: (from_zero(dense(6), dense(6)), X, Y),
}


def from_zero(*layers):
    model = classifier(*layers)
    model.get_layer("out").kernel.assign(np.zeros((6, 3)))
    return model


def state(model):
    """Return all that a check must leave as it is."""
    variables = list(model.variables) + list(model.metrics_variables)
    if model.optimizer is not None:
        variables += model.optimizer.variables
    return [
        [np.array(ops.convert_to_numpy(v)) for v in variables],
        random.getstate(),
        model.built,
        model.optimizer is not None and model.optimizer.built,
        [sorted(vars(layer)) for layer in model.layers],
        [layer.name for layer in model.layers],
        model.train_function,
    ]


def problems(*args, **kwargs):
    return [finding.problem for finding in check(*args, **kwargs)]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_model_stays_as_it_is_and_nothing_is_found(name):
    model, x, y = HEALTHY[name]()
    before = state(model)
    numpy_state = np.random.get_state()[1].copy()
    findings = check(model, x, y)
    assert [f for f in findings if f.severity != "info"] == []
    after = state(model)
    for old, new in zip(before.pop(0), after.pop(0), strict=True):
        np.testing.assert_array_equal(old, new)
    assert after == before
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_training_after_a_check_is_the_same_training():
    results = []
    for checked in (False, True):
        model = compiled(dropout_mlp)
        if checked:
            check(model, X, Y)
        model.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0)
        results.append([ops.convert_to_numpy(v) for v in model.variables])
    for bare, after_check in zip(*results, strict=True):
        np.testing.assert_array_equal(bare, after_check)


def test_a_check_of_a_model_that_has_learned_something():
    model = compiled(dropout_mlp)
    model.fit(X, Y, epochs=1, verbose=0)
    before = state(model)
    assert check(model, X, Y) == []
    for old, new in zip(before[0], state(model)[0], strict=True):
        np.testing.assert_array_equal(old, new)


# Faults


def scaled(std):
    return {"kernel_initializer": keras.initializers.RandomNormal(0, std, 5)}


@pytest.mark.parametrize(
    "layers, problem, layer",
    [
        (
            lambda: [dense(64, **scaled(1.0)) for _ in range(5)],
            "exploding_gradient",
            None,
        ),
        (
            lambda: [dense(64, "tanh", **scaled(2.0)) for _ in range(3)],
            "saturated_activation",
            None,
        ),
        (
            lambda: [
                dense(64, name="first", **scaled(1e-3)),
                *[dense(64, **scaled(1e-3)) for _ in range(4)],
            ],
            "vanishing_gradient",
            "first",
        ),
        (  # a gradient too small for float32
            lambda: [
                dense(16, "tanh", name="first", **scaled(0.01)),
                *[dense(16, "tanh", **scaled(0.01)) for _ in range(30)],
            ],
            "vanishing_gradient",
            "first",
        ),
        (
            lambda: [
                dense(32, "sigmoid", name="first"),
                *[dense(32, "sigmoid") for _ in range(11)],
            ],
            "vanishing_gradient",
            "first",
        ),
        (
            lambda: [
                dense(
                    name="first",
                    bias_initializer=keras.initializers.Constant(-50.0),
                ),
                dense(),
            ],
            "dying_relu",
            "first",
        ),
        (
            lambda: [dense(name="first", kernel_initializer="ones"), dense()],
            "symmetric_units",
            "first",
        ),
        (
            lambda: [dense(3, "softmax", name="first"), dense()],
            "output_loss_mismatch",
            "first",
        ),
        (
            lambda: [LAYERS.Rescaling(1e38), LAYERS.Rescaling(1e38), dense()],
            "numerical_instability",
            None,
        ),
    ],
)
def test_faults_of_the_initial_weights(layers, problem, layer):
    findings = check(classifier(*layers()), X, Y)
    first = findings[0]
    assert first.problem == problem
    assert first.severity in ("warning", "error")
    assert first.remedies
    if layer:
        assert first.layer == layer


def test_remedies_know_the_data(monkeypatch):
    seen = []
    monkeypatch.setattr(
        shared, "remedies_for", lambda *args: seen.append(args) or ()
    )
    layers = [dense(64, "tanh", **scaled(2.0)) for _ in range(3)]
    check(classifier(*layers), X, Y)
    problem, _, _, batch = seen[0]
    assert problem == "saturated_activation"
    assert batch.size == len(X) and batch.x_std == pytest.approx(X.std())


def test_what_follows_from_unscaled_inputs_is_folded_under_them():
    (finding,) = check(classifier(dense(activation="tanh")), 500 * X, Y)
    assert finding.chain == ("unscaled_input", "saturated_activation")


@pytest.mark.parametrize(
    "model, x, y, problem",
    [
        (lambda: classifier(activation=None), X, Y, "output_loss_mismatch"),
        (lambda: classifier(dense()), X, Y + 1, "output_loss_mismatch"),
        (
            lambda: classifier(dense()),
            X,
            np.eye(3)[Y],
            "output_loss_mismatch",
        ),
        (
            lambda: classifier(dense()),
            np.where(X > 2, np.nan, X),
            Y,
            "numerical_instability",
        ),
    ],
)
def test_faults_of_the_data(model, x, y, problem):
    findings = check(model(), x, y)
    assert findings[0].problem == problem
    assert findings[0].severity == "error"
    assert len(findings) == 1


def test_softmax_on_one_unit_is_a_finding_and_no_warning():
    model = keras.Sequential([keras.Input((6,)), dense(4), dense(1, "softmax")])
    model.compile("adam", "binary_crossentropy")
    (finding,) = check(model, X, Y % 2)
    assert finding.problem == "output_loss_mismatch"
    assert finding.severity == "error"


def test_the_output_of_a_subclassed_model_is_known_from_its_call():
    model = Own(None)
    model.compile("adam", SPARSE)
    model(X[:2])
    assert problems(model, X, Y) == ["output_loss_mismatch"]
    model.compile("adam", keras.losses.get(SPARSE))
    assert problems(model, X, Y) == ["output_loss_mismatch"]


def test_each_of_several_outputs_is_judged_by_its_targets():
    model, x, y = two_outputs()
    (finding,) = check(model, x, {**y, "kind": Y + 1})
    assert finding.problem == "output_loss_mismatch"
    assert finding.evidence["y_high"] == 3


# Ways to call it


def test_a_model_that_is_not_built():
    model = keras.Sequential([dense(kernel_initializer="zeros"), dense(3)])
    model.compile("adam", "mse")
    before = random.getstate()
    assert problems(model, X, X[:, :3] ** 2)[0] == "symmetric_units"
    assert not model.built
    assert random.getstate() == before


def test_a_subclassed_model_that_is_not_built_gets_the_weights_of_fit():
    weights = []
    for checked in (False, True):
        keras.utils.set_random_seed(1)
        model = Own()
        model.compile(keras.optimizers.SGD(0.0), SPARSE)
        if checked:
            assert check(model, X, Y) == []
        model.fit(X, Y, verbose=0)
        weights.append([ops.convert_to_numpy(v) for v in model.variables])
    for bare, after_check in zip(*weights, strict=True):
        np.testing.assert_array_equal(bare, after_check)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[:16], Y[:16] + 1


def generator():
    while True:
        yield X[:16], Y[:16] + 1


@pytest.mark.parametrize("source", [generator, Batches])
def test_batches_are_taken_from_what_yields_them(source):
    assert problems(classifier(), source()) == ["output_loss_mismatch"]


@pytest.mark.backend("tensorflow")
def test_data_of_tensorflow():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y + 1)).batch(16)
    assert problems(classifier(), dataset) == ["output_loss_mismatch"]
    assert problems(classifier(), tf.constant(X), tf.constant(Y)) == []


@pytest.mark.backend("torch")
def test_data_of_torch():
    import torch

    pairs = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y + 1))
    loader = torch.utils.data.DataLoader(pairs, batch_size=16)
    assert problems(classifier(), loader) == ["output_loss_mismatch"]
    assert problems(classifier(), torch.tensor(X), torch.tensor(Y)) == []


@pytest.mark.backend("torch")
def test_a_wrapped_torch_module_is_left_alone():
    import torch

    norm = torch.nn.BatchNorm1d(6)
    model = classifier(LAYERS.TorchModuleWrapper(norm), activation=None)
    before = norm.running_mean.clone()
    assert problems(model, 3 * X + 1, Y) == ["output_loss_mismatch"]
    assert torch.equal(norm.running_mean, before)


def test_lists_of_numbers_are_arrays():
    model = classifier(shape=(2,))
    x = [[0.0, 1.0], [1.0, 0.0]]
    assert problems(model, np.array(x), [0, 2]) == []
    assert problems(model, np.array(x), [0, 3]) == ["output_loss_mismatch"]


def test_without_targets_or_losses_the_rest_is_checked():
    model = classifier(dense(activation="tanh"))
    assert problems(model, X) == []
    assert problems(model, 500 * X) == ["unscaled_input"]
    bare = keras.Sequential([keras.Input((6,)), dense(3, None)])
    assert problems(bare, X, Y) == []


class Gan(keras.Model):
    """Cannot be called; its train step knows how."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [keras.Input((2,)), dense(kernel_initializer="zeros"), dense(6)]
        )

    def train_step(self, *args):
        raise NotImplementedError


def test_a_model_with_a_train_step_of_its_own():
    model = Gan()
    model.compile("adam", "mse")
    assert problems(model, X) == ["symmetric_units"]


def test_losses_added_in_the_call_count():
    class Penalized(Own):
        def call(self, x, training=False):
            outputs = super().call(x, training=training)
            self.add_loss(ops.sum(ops.square(self.first.kernel)) * np.inf)
            return outputs

    model = Penalized()
    model.compile("adam", SPARSE)
    model(X[:2])
    assert problems(model, X, Y) == ["numerical_instability"]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    model = classifier(
        dense(dtype=policy), dense(dtype=policy), dense(dtype=policy)
    )
    assert check(model, X, Y) == []


def test_bad_input():
    model = classifier(dense())
    with pytest.raises(TypeError, match="`model` must be"):
        check(dense(), X, Y)
    with pytest.raises(ValueError, match="`batch_size` must be"):
        check(model, X, Y, batch_size=0)
    with pytest.raises(ValueError, match="same number of samples"):
        check(model, X, Y[:-1])
    with pytest.raises(ValueError, match="`x` must have samples"):
        check(model, X[:0], Y[:0])
    with pytest.raises(ValueError, match="`x` must be given"):
        check(model, None)
    with pytest.raises(ValueError, match="`y` must be `None`"):
        check(model, generator(), Y)
    with pytest.raises(ValueError, match="yields nothing"):
        check(model, iter(()))
    with pytest.raises(ValueError, match="`x` must be arrays"):
        check(model, 3)
    with pytest.raises(ValueError, match="`x` must fit the model"):
        check(model, X[:, :4], Y)
    with pytest.raises(ValueError, match="`y` must fit the model's losses"):
        check(model, X, np.zeros((64, 5, 7), int))


class OneGraph(keras.utils.PyDataset):
    """Yields the nodes and the edges of a graph."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        rng = np.random.default_rng(0)
        nodes = rng.normal(size=(20, 6)).astype("float32")
        return (nodes, rng.integers(0, 20, (2, 50))), rng.integers(0, 3, 20)


def test_inputs_of_a_batch_may_differ_in_length():
    class Graph(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = dense()
            self.out = keras.layers.Dense(3, activation="softmax")

        def call(self, inputs):
            nodes, (sources, targets) = inputs[0], inputs[1]
            h = ops.take(self.hidden(nodes), sources, axis=0)
            return self.out(ops.segment_sum(h, targets, num_segments=20))

    model = Graph()
    model.compile("adam", SPARSE)
    assert check(model, OneGraph()) == []


class Maybe(keras.layers.Layer):
    """Has a second input that may be missing."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(6, activation="relu")
        self.second = keras.layers.Dense(6)

    def build(self, first_shape, second_shape=None):
        self.first.build((None, 4))
        self.second.build((None, 3))

    def call(self, first, second=None):
        result = self.first(first)
        return result if second is None else result + self.second(second)

    def compute_output_shape(self, first_shape, second_shape=None):
        return (first_shape[0], 6)


@pytest.mark.parametrize("kind", [dict, list, tuple])
def test_an_optional_input_may_be_missing(kind):
    keras.utils.set_random_seed(1)
    a = keras.Input((4,), name="a")
    b = keras.Input((3,), name="b", optional=True)
    output = keras.layers.Dense(1, name="out")(Maybe(name="maybe")(a, b))
    inputs = {"a": a, "b": b}
    model = keras.Model(inputs if kind is dict else [a, b], output)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    given = {"a": x, "b": None}
    given = given if kind is dict else kind(given.values())
    assert not check(model, given, x[:, :1] * 2)
    with pytest.raises(ValueError, match="`x` must fit the model.*None"):
        check(model, {"a": x[:, :2], "b": None}, x[:, :1])
    nothing = {"a": None, "b": None}
    with pytest.raises(ValueError, match="`x` must have samples"):
        check(model, nothing, None)


def test_a_failing_backward_pass_is_no_fault_of_the_inputs():
    @ops.custom_gradient
    def one_way(x):
        def grad(*args, upstream=None):
            raise RuntimeError("no way back")

        return x * 2.0, grad

    class OneWay(keras.layers.Layer):
        def call(self, x):
            return one_way(x)

    model = keras.Sequential(
        [keras.Input((4,)), dense(3), OneWay(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x = np.zeros((8, 4), "float32")
    with pytest.raises(ValueError, match="(?s)backward pass raised.*no way"):
        check(model, x, x[:, :1])


def test_a_batch_is_spread_over_sorted_data():
    x = np.repeat(X[:1], 1000, axis=0)
    y = np.repeat([0, 1, 2, 3], 250)
    assert problems(classifier(), x, y) == ["output_loss_mismatch"]
    y[-1] = 7
    assert check(classifier(), x, y)[0].evidence["y_high"] == 7


def test_it_takes_less_than_two_seconds():
    times = []
    for _ in range(3):
        model = classifier(*[dense(64) for _ in range(10)])
        start = time.perf_counter()
        assert check(model, X, Y) == []
        times.append(time.perf_counter() - start)
    assert min(times) < 2


@pytest.mark.parametrize(
    "name, scale, expected",
    [
        ("load_digits", 16.0, None),
        ("load_digits", 1.0, "info"),
        ("load_wine", 1.0, "warning"),
        ("load_breast_cancer", 1.0, "warning"),
        ("load_diabetes", 1.0, None),
    ],
)
def test_data_of_scikit_learn(name, scale, expected):
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = getattr(datasets, name)(return_X_y=True)
    keras.utils.set_random_seed(1)
    units = int(y.max()) + 1
    model = classifier(dense(), shape=x.shape[1:], units=units)
    if name == "load_diabetes":
        model = classifier(
            dense(), shape=x.shape[1:], units=1, activation=None, loss="mse"
        )
        y = (y - y.mean()) / y.std()
    findings = check(model, x / scale, y)
    assert [f.problem for f in findings] == ["unscaled_input"] * bool(expected)
    if expected == "info":
        assert findings[0].severity == "info"
    elif expected:
        assert findings[0].severity in ("warning", "error")
