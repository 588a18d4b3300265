import ast
import dataclasses
import importlib

import keras
import numpy as np
import pytest

import keras_ext
from keras_ext.doctor import PROBLEMS, Remedy
from keras_ext.doctor.remedies import remedies_for
from keras_ext.doctor.run_history import (
    BatchFacts,
    Facts,
    LayerFacts,
    OutputFacts,
)


def net(*layers, outputs=(), **facts):
    """Facts of a model, each layer given as kind and activation."""
    return Facts(
        layers=tuple(
            LayerFacts(f"net/l{i}", kind, activation, 32, 32)
            for i, (kind, activation) in enumerate(layers)
        ),
        outputs=outputs,
        **facts,
    )


def mlp(activation, depth=5, **facts):
    hidden = [("Dense", activation)] * depth
    return net(*hidden, ("Dense", "softmax"), **facts)


OUTPUTS = [
    OutputFacts("out", activation, units, loss, from_logits)
    for activation in (None, "linear", "softmax", "sigmoid", "relu", "tanh")
    for units in (1, 3)
    for loss, from_logits in (
        (None, False),
        ("sparse_categorical_crossentropy", False),
        ("sparse_categorical_crossentropy", True),
        ("categorical_crossentropy", False),
        ("categorical_focal_crossentropy", True),
        ("binary_crossentropy", False),
        ("binary_focal_crossentropy", True),
        ("mean_squared_error", False),
        ("huber", False),
        ("hinge", False),
    )
]
BATCHES = [
    None,
    BatchFacts(x_low=0, x_high=255, size=4, x_nonfinite=0.1),
    BatchFacts(y_low=0, y_high=1, y_whole=True, size=64),
    BatchFacts(y_low=0, y_high=7, y_whole=True, y_nonfinite=0.5),
    BatchFacts(y_low=-1, y_high=1, y_whole=True),
    BatchFacts(y_low=-3, y_high=2.5),
]
MODELS = [
    None,
    Facts(),
    mlp("relu", optimizer="SGD", learning_rate=0.01),
    mlp("sigmoid", 1, optimizer="Adam", learning_rate=0.001, clips=True),
    mlp("selu", optimizer="Mine", learning_rate=1.0, normalizes_input=True),
    net(
        ("Conv2D", "relu"),
        ("BatchNormalization", None),
        ("SeparableConv2D", "tanh"),
        ("Dropout", None),
        ("ReLU", "relu"),
        ("Attention", None),
        ("Dense", "softmax"),
    ),
    net(("SimpleRNN", "tanh"), ("Dense", "sigmoid"), optimizer="RMSprop"),
    net(("LSTM", "tanh"), ("GRUCell", "tanh"), ("Dense", None)),
    *(
        mlp("tanh", outputs=(output,), optimizer="Adam", learning_rate=1e-5)
        for output in OUTPUTS
    ),
]


def all_remedies():
    for facts in MODELS:
        layers = [None, "of/nobody"]
        layers += [layer.path for layer in facts.layers] if facts else []
        for problem in PROBLEMS:
            for layer in layers:
                for batch in BATCHES:
                    found = remedies_for(problem, facts, layer, batch)
                    yield problem, found


@pytest.fixture(scope="module")
def changes():
    return {r.change for _, found in all_remedies() for r in found}


def test_each_problem_has_remedies_whatever_is_known():
    for problem, found in all_remedies():
        assert found, problem
        assert len(found) == len(set(found))
        for remedy in found:
            assert isinstance(remedy, Remedy)
            assert remedy.advice[0].isupper() and remedy.advice[-1] == "."
            assert "\n" not in remedy.change


def names_in(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if "(" not in name and name.split(".")[0] in (
                "keras",
                "keras_ext",
                "np",
                "sklearn",
            ):
                yield name


def resolve(name):
    package, *parts = name.replace("np.", "numpy.").split(".")
    found = importlib.import_module(package)
    for i, part in enumerate(parts):
        try:
            found = getattr(found, part)
        except AttributeError:
            path = ".".join([package, *parts[: i + 1]])
            found = importlib.import_module(path)
    return found


def test_every_named_component_exists(changes):
    names = {name for code in changes for name in names_in(code)}
    assert "keras_ext.initializers.HeNormal" in names
    assert "keras.layers.LSTM" in names
    for name in names:
        assert resolve(name) is not None


def test_a_wrong_name_would_be_noticed():
    with pytest.raises(ModuleNotFoundError):
        resolve("keras_ext.layers.Densely")


def test_every_change_runs(changes):
    import sklearn.model_selection

    rng = np.random.default_rng(0)
    assert len(changes) > 30
    for code in sorted(changes):
        scope = {
            "keras": keras,
            "keras_ext": keras_ext,
            "np": np,
            "sklearn": sklearn,
            "x": rng.normal(size=(8, 3)),
            "y": np.arange(8.0),
        }
        if "model" in names_of_variables(code):
            scope["model"] = keras.Sequential([keras.layers.Dense(1)])
            scope["model"].compile("sgd", "mse")
            code = code.replace("epochs=100", "epochs=1, verbose=0")
            code = code.replace("batch_size=32", "batch_size=32, verbose=0")
        exec(code.replace("...", "3"), scope)


def names_of_variables(code):
    nodes = ast.walk(ast.parse(code))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def code_of(problem, *args, **kwargs):
    return [r.change for r in remedies_for(problem, *args, **kwargs)]


def test_the_lectures_order():
    vanishing = code_of("vanishing_gradient", mlp("sigmoid"), "net/l0")
    assert vanishing == [
        'keras_ext.layers.Dense(32, activation="relu", '
        "kernel_initializer=keras_ext.initializers.HeNormal())",
        "keras_ext.layers.Dense(32, "
        "kernel_initializer=keras_ext.initializers.GlorotUniform())",
        "keras_ext.layers.BatchNormalization()",
        "keras_ext.layers.Residual("
        'keras_ext.layers.Dense(32, activation="relu"))',
    ]
    exploding = " ".join(code_of("exploding_gradient"))
    parts = ("clipnorm", "L2", "initializers", "learning_rate=", "LSTM")
    places = [exploding.index(part) for part in parts]
    assert places == sorted(places)
    overfitting = " ".join(code_of("overfitting"))
    parts = ("Noise", "Dropout", "L2", "EarlyStopping", "Dense(32", "KFold")
    places = [overfitting.index(part) for part in parts]
    assert places == sorted(places)


def test_relu_is_not_advised_where_it_is():
    for activation in ("relu", "leaky_relu", "elu"):
        changes = code_of("vanishing_gradient", mlp(activation), "net/l0")
        assert not any('activation="relu"' in c for c in changes[:-1])
        assert "HeNormal" in changes[0]
    assert "LecunNormal" in code_of("vanishing_gradient", mlp("selu"))[0]


def test_what_the_model_has_is_not_advised():
    clipped = mlp("relu", clips=True)
    assert "clipnorm" in code_of("exploding_gradient", mlp("relu"))[0]
    assert "clip" not in "".join(code_of("exploding_gradient", clipped))
    normalized = mlp("tanh", normalizes_input=True)
    first = [
        code_of("saturated_activation", m, "net/l0")[0]
        for m in (mlp("tanh"), normalized)
    ]
    assert "Standardization" in first[0] and "BatchNorm" in first[1]
    batch_norm = net(
        ("Dense", "tanh"), ("BatchNormalization", None), ("Dense", None)
    )
    changes = code_of("vanishing_gradient", batch_norm)
    assert "BatchNorm" not in "".join(changes)
    assert any("BatchNorm" in c for c in code_of("vanishing_gradient"))
    adam = Facts(optimizer="Adam", learning_rate=0.1)
    sgd = dataclasses.replace(adam, optimizer="SGD")
    assert len(code_of("learning_rate_too_high", adam)) == 2
    assert len(code_of("learning_rate_too_high", sgd)) == 3


def test_inputs_of_usual_size_are_not_to_be_scaled():
    for batch, scaled in (
        (None, True),
        (BatchFacts(x_mean=0.3, x_std=0.4), False),
        (BatchFacts(x_mean=120.0, x_std=60.0), True),
        (BatchFacts(x_mean=0.0, x_std=1e-3), True),
        (BatchFacts(feature_scales=np.array([0.1, 9.0])), True),
    ):
        found = remedies_for("saturated_activation", mlp("tanh"), batch=batch)
        assert ("Standardization" in found[0].change) == scaled
    words = net(("Embedding", None), ("Dense", "tanh"), ("Dense", "softmax"))
    found = remedies_for("saturated_activation", words)
    assert "Standardization" not in found[0].change


def test_a_rate_is_changed_by_as_much_as_it_is_wrong():
    sgd = Facts(optimizer="SGD", learning_rate=100.0)
    for times in (None, 1e-4):
        remedies = remedies_for("learning_rate_too_high", sgd, rate_times=times)
        lower, falling = [change for _, change in remedies][:2]
        rate = f"{100.0 * (times or 0.1):.3g}"
        assert f"learning_rate={rate}" in lower
        assert f"CosineDecay({rate}, 1000)" in falling
    low = dataclasses.replace(sgd, learning_rate=1e-8)
    remedies = remedies_for("learning_rate_too_low", low, rate_times=1e4)
    assert "learning_rate=0.0001" in remedies[0].change


def test_large_biases_are_the_first_to_go():
    model = mlp("relu")
    silent = dataclasses.replace(model.layers[1], bias_size=8.0)
    model = dataclasses.replace(
        model, layers=(model.layers[0], silent, *model.layers[2:])
    )
    for layer in ("net/l1", "net", None):
        first = remedies_for("dying_relu", model, layer)[0]
        assert "those of `net/l1` are 8 in size" in first.advice
        assert 'Dense(32, bias_initializer="zeros")' in first.change
    assert "leaky" in remedies_for("dying_relu", model, "net/l0")[0].advice


def test_noise_is_not_added_to_the_numbers_of_tokens():
    tokens = net(("Embedding", None), ("Dense", "relu"), ("Dense", "softmax"))
    assert (
        "after the embedding" in remedies_for("overfitting", tokens)[0].advice
    )


def test_a_function_in_a_call_is_no_layer():
    change = code_of("dying_relu", mlp("relu"), "mine")[0]
    assert change == "x = keras_ext.activations.leaky_relu(x)"
    assert "Dense(" in code_of("dying_relu", mlp("relu"), "net/l0")[0]


def test_residual_connections_need_depth():
    assert "Residual" in code_of("vanishing_gradient", mlp("tanh", 5))[-1]
    shallow = code_of("vanishing_gradient", mlp("tanh", 1))
    assert "Residual" not in "".join(shallow)


def test_recurrent_layers():
    model = net(("SimpleRNNCell", "tanh"), ("Dense", "softmax"))
    changes = code_of("vanishing_gradient", model, "net/l0")
    assert changes[0] == "keras.layers.LSTM(32)"
    assert 'activation="relu"' not in "".join(changes)
    assert "LSTM" in code_of("exploding_gradient", model, "net/l0")[-1]
    lstm = net(("LSTM", "tanh"), ("Dense", "softmax"))
    assert "keras.layers.LSTM(32)" not in code_of("exploding_gradient", lstm)
    assert "LSTM" not in "".join(code_of("exploding_gradient", mlp("relu")))


def test_learning_rates_are_the_models():
    facts = Facts(optimizer="SGD", learning_rate=0.02)
    low, high = (
        code_of(f"learning_rate_too_{side}", facts)[0]
        for side in ("low", "high")
    )
    assert low == "keras_ext.optimizers.SGD(learning_rate=0.2)"
    assert high == "keras_ext.optimizers.SGD(learning_rate=0.002)"
    own = dataclasses.replace(facts, optimizer="Mine")
    change = code_of("learning_rate_too_low", own)[0]
    assert change == "model.optimizer.learning_rate = 0.2"


def test_small_batches():
    small, large = BatchFacts(size=2), BatchFacts(size=64)
    problem = "learning_rate_too_high"
    assert "batch_size=32" in code_of(problem, batch=small)[-1]
    assert "batch_size" not in "".join(code_of(problem, batch=large))


def test_layers_keep_their_kind_and_units():
    model = net(("Conv2D", "relu"), ("ReLU", "relu"), ("Dense", None))
    conv = code_of("symmetric_units", model, "net/l0")
    assert conv[0].startswith("keras.layers.Conv2D(32, ..., kernel_init")
    relu = code_of("dying_relu", model, "net/l1")
    assert relu[0] == "keras_ext.layers.LeakyReLU(0.1)"
    assert "RandomTranslation" in code_of("overfitting", model)[0]
    sizes = (code_of(p, model) for p in ("overfitting", "underfitting"))
    small, large = ("".join(changes) for changes in sizes)
    assert "Conv2D(16, ...," in small and "Conv2D(64, ...," in large


@pytest.mark.parametrize(
    "activation, units, loss, from_logits, batch, units_and_loss",
    [
        # softmax of one unit is always 1
        ("softmax", 1, "binary_crossentropy", False, None, "1b"),
        ("softmax", 1, "mean_squared_error", False, None, "1b"),
        # squared error on classes
        ("softmax", 10, "mean_squared_error", False, (0, 9, True), "10s"),
        ("softmax", 10, "mean_squared_error", False, (0, 1, True), "10c"),
        ("sigmoid", 1, "mean_squared_error", False, (0, 1, True), "1b"),
        # softmax and sigmoid for a regression
        ("softmax", 2, "mean_squared_error", False, (-4, 9.5, False), "2m"),
        ("sigmoid", 1, "mean_squared_error", False, (-4, 9.5, False), "1m"),
        ("relu", 1, "mean_absolute_error", False, (-4, 9.5, False), "1m"),
        # sigmoid for one of several classes
        ("sigmoid", 5, "categorical_crossentropy", False, None, "5c"),
        # labels that the output does not have
        (
            "softmax",
            3,
            "sparse_categorical_crossentropy",
            False,
            (0, 6, True),
            "7s",
        ),
        ("sigmoid", 1, "binary_crossentropy", False, (0, 3, True), "4s"),
        ("sigmoid", 1, "binary_crossentropy", False, (-1, 1, True), "1h"),
        # several labels at once
        ("linear", 4, "binary_crossentropy", True, None, "4l"),
        ("softmax", 4, "binary_crossentropy", False, None, "4c"),
    ],
)
def test_the_output_that_fits(
    activation, units, loss, from_logits, batch, units_and_loss
):
    output = OutputFacts("out", activation, units, loss, from_logits)
    if batch is not None:
        low, high, whole = batch
        batch = BatchFacts(y_low=low, y_high=high, y_whole=whole)
    facts = mlp("relu", outputs=(output,))
    first = code_of("output_loss_mismatch", facts, batch=batch)[0]
    activation, loss = {
        "b": (', activation="sigmoid"', "BinaryCrossentropy"),
        "s": (', activation="softmax"', "SparseCategoricalCrossentropy"),
        "c": (', activation="softmax"', "CategoricalCrossentropy"),
        "l": (', activation="sigmoid"', "MultiLabelCrossentropy"),
        "m": ("", "MeanSquaredError"),
        "h": (', activation="tanh"', "Hinge"),
    }[units_and_loss[-1]]
    assert first == (
        f"output, loss = keras_ext.layers.Dense({units_and_loss[:-1]}"
        f"{activation}), keras_ext.losses.{loss}()"
    )


@pytest.mark.parametrize(
    "activation, from_logits, correct",
    [("softmax", True, "False"), (None, False, "True")],
)
def test_logits(activation, from_logits, correct):
    loss = "sparse_categorical_crossentropy"
    output = OutputFacts("out", activation, 3, loss, from_logits)
    changes = code_of("output_loss_mismatch", mlp("relu", outputs=(output,)))
    assert changes[0] == (
        "loss = keras_ext.losses.SparseCategoricalCrossentropy("
        f"from_logits={correct})"
    )


def test_of_several_outputs_the_named_one_counts():
    outputs = (
        OutputFacts("a", "softmax", 1, "binary_crossentropy"),
        OutputFacts("b", "sigmoid", 2, "mean_squared_error"),
    )
    facts = mlp("relu", outputs=outputs)
    data = BatchFacts(y_low=-2, y_high=2.5)
    first = code_of("output_loss_mismatch", facts, "net/b", data)[0]
    assert "Dense(2), keras_ext.losses.MeanSquaredError" in first


def test_labels_that_are_counted_from_one():
    output = OutputFacts(
        "out", "softmax", 10, "sparse_categorical_crossentropy"
    )
    facts = mlp("relu", outputs=(output,))
    for low, high, shifted in ((1, 10, True), (0, 10, False), (1, 9, False)):
        batch = BatchFacts(y_low=low, y_high=high, y_whole=True)
        first = remedies_for("output_loss_mismatch", facts, batch=batch)[0]
        assert (first.change == "y = y - 1") == shifted
        assert not shifted or "from 0 to 9" in first.advice


def test_softmax_in_a_hidden_layer():
    outputs = (OutputFacts("l2", "softmax", 3, "categorical_crossentropy"),)
    model = net(
        ("Dense", "softmax"),
        ("Dense", "relu"),
        ("Dense", "softmax"),
        outputs=outputs,
    )
    (change,) = code_of("output_loss_mismatch", model, "net/l0")
    assert change.startswith('keras_ext.layers.Dense(32, activation="relu"')


def test_nan_in_the_data_comes_first():
    batch = BatchFacts(y_nonfinite=0.01)
    assert "nan_to_num(y" in code_of("numerical_instability", batch=batch)[0]
    assert "nan_to_num" not in "".join(code_of("numerical_instability"))


def test_unknown_problems():
    with pytest.raises(ValueError, match="`problem` must be one of.*'nix'"):
        remedies_for("nix")
