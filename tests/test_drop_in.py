"""All components at once, in models, against Keras's own in the same models.

What a component is on its own is tested beside it; here is what Keras, the
compilers and the distribution strategies make of it.
"""

import copy
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ext
from tests import zoo
from tests.fresh_process import run_in_loader, run_python
from tests.numerics import float64

BACKEND = keras.config.backend()
# Eager JAX compiles each operation by itself, which takes minutes.
MODES = {
    "tensorflow": {
        "eager": {"run_eagerly": True},
        "compiled": {"jit_compile": False},
        "xla": {"jit_compile": True},
    },
    "jax": {"xla": {"jit_compile": True}},
    "torch": {"eager": {}},
}[BACKEND]
FAST = next(iter(MODES.values()))
ROOT = Path(__file__).parents[1]

GO_ON = """
import sys
import keras
import numpy as np

model = keras.saving.load_model(sys.argv[1])
data = np.load(sys.argv[2])
x = {key[2:]: data[key] for key in data if key.startswith("x/")}
y = {name: data["y/" + name] for name in model.output_names}
before = model.predict(x, verbose=0)
loss = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"]
np.savez(sys.argv[3], loss=loss, **before)
"""

SERVE = """
import sys
import numpy as np
import tensorflow as tf

served = tf.saved_model.load(sys.argv[1])
data = np.load(sys.argv[2])
outputs = served.serve([data["x/features"][:5], data["x/image"][:5]])
np.savez(sys.argv[3], **{name: y.numpy() for name, y in outputs.items()})
assert "keras_ext" not in sys.modules
"""

MIRRORED = """
import sys
sys.path.insert(0, sys.argv[1])
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, devices)
import keras, numpy as np
import keras_ext
from tests import zoo

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def train(build, *args, optimizer):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build(*args, optimizer(), jit_compile=False)
    return zoo.fit(model, epochs=1)["loss"]

losses = [
    train(zoo.twin, source, optimizer=source.optimizers.RMSprop)
    for source in (keras, keras_ext)
]
np.testing.assert_allclose(*losses, rtol=1e-4)
loss = train(zoo.novelties, optimizer=keras_ext.optimizers.Adagrad)
assert np.isfinite(loss).all()
"""

SHARDED = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
sys.path.insert(0, sys.argv[1])
import keras, numpy as np
import keras_ext
from tests import zoo

keras.distribution.set_distribution(keras.distribution.DataParallel())

def train(build, *args):
    keras.utils.set_random_seed(0)
    model = build(*args)
    loss = zoo.fit(model, epochs=1)["loss"]
    kernel = model.trainable_variables[0].value
    assert len(kernel.sharding.device_set) == 2
    return loss

losses = [train(zoo.twin, source) for source in (keras, keras_ext)]
np.testing.assert_allclose(*losses, rtol=1e-4)
assert np.isfinite(train(zoo.novelties)).all()
"""


@pytest.fixture(autouse=True)
def same_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def trained():
    """Trained models: of Keras's own, of their counterparts, of what is new.

    Compiling is what takes the time, so the tests share them.
    """
    keras.utils.set_random_seed(0)
    models = {
        "builtin": zoo.twin(keras, **FAST),
        "twin": zoo.twin(keras_ext, **FAST),
        "novelties": zoo.novelties(**FAST),
    }
    for model in models.values():
        zoo.fit(model, epochs=1)
    return models


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    x, y = zoo.data()
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(
        path,
        **{f"x/{key}": value for key, value in x.items()},
        **{f"y/{key}": value for key, value in y.items()},
    )
    return path


def assert_same(result, expected, rtol=1e-5, atol=1e-6):
    assert result.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(
            result[name], expected[name], rtol, atol, err_msg=name
        )


@pytest.mark.parametrize("mode", MODES)
def test_the_same_training_as_with_the_builtins(mode):
    results = []
    for source in (keras, keras_ext):
        keras.utils.set_random_seed(0)
        optimizer = source.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
        model = zoo.twin(source, optimizer, **MODES[mode])
        start = zoo.call(model)
        history = zoo.fit(model)
        weights = dict(enumerate(model.get_weights()))
        results.append((start, history, weights))
    assert_same(results[1][0], results[0][0])
    assert_same(results[1][1], results[0][1], rtol=1e-4)
    assert_same(results[1][2], results[0][2], rtol=1e-3, atol=1e-5)


@pytest.mark.backend("tensorflow")
def test_novelties_compute_the_same_in_every_mode():
    histories = []
    for arguments in MODES.values():
        keras.utils.set_random_seed(0)
        optimizer = keras_ext.optimizers.SGD(0.01)
        # XLA draws other numbers for dropout.
        model = zoo.novelties(optimizer, rate=0.0, **arguments)
        histories.append(zoo.fit(model, epochs=1))
    assert_same(histories[1], histories[0], rtol=1e-4)
    assert_same(histories[2], histories[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [
        ("mixed_float16", 0.01),
        ("mixed_bfloat16", 0.05),
        ("bfloat16", 0.05),
        ("float64", 1e-4),
    ],
)
def test_precisions(policy, tolerance):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with float64():
            results = []
            for source in (keras, keras_ext):
                keras.utils.set_random_seed(0)
                optimizer = source.optimizers.SGD(0.01)
                # On TensorFlow, Keras cannot add penalties of weights in
                # other precisions to the losses.
                mixed = policy.startswith("mixed")
                model = zoo.twin(source, optimizer, penalties=mixed, **FAST)
                results.append(zoo.fit(model, epochs=1))
            assert_same(results[1], results[0], tolerance)
            losses = zoo.fit(zoo.novelties(**FAST), epochs=2)["loss"]
            assert losses[1] < losses[0]
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", ["twin", "novelties"])
def test_every_batch_size(trained, name):
    model = trained[name]
    expected = zoo.predict(model)
    assert_same(zoo.predict(model, batch_size=1), expected)
    assert_same(zoo.predict(model, batch_size=9), expected)
    if BACKEND != "tensorflow":  # whose convolution refuses empty batches
        empty = zoo.call(model, samples=0)
        assert {y.shape[0] for y in empty.values()} == {0}


@pytest.mark.parametrize("name", ["twin", "novelties"])
def test_a_fresh_process_goes_on(trained, name, data_file, tmp_path):
    model = trained[name]
    model.save(tmp_path / "model.keras")
    paths = [tmp_path / "model.keras", data_file, tmp_path / "out.npz"]
    run_in_loader(GO_ON, *paths)
    result = dict(np.load(paths[2]))
    loss = result.pop("loss")
    assert_same(result, zoo.predict(model))
    again = keras.saving.load_model(paths[0])
    np.testing.assert_allclose(loss, zoo.fit(again, 1)["loss"], rtol=1e-4)


@pytest.mark.parametrize(
    ("before", "after"), [("builtin", "twin"), ("twin", "builtin")]
)
def test_weights_files_carry_a_training_on(trained, before, after, tmp_path):
    model, heir = trained[before], trained[after]
    zoo.fit(model, epochs=1)  # so that the two differ
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    heir.load_weights(path)
    assert_same(zoo.predict(heir), zoo.predict(model))
    # Keras's files leave out where the random draws of dropout are.
    for old, new in zip(model.variables, heir.variables, strict=True):
        if "seed_generator" in old.path:
            new.assign(old.numpy())
    assert_same(zoo.fit(heir, 1), zoo.fit(model, 1), rtol=1e-4)


def test_weights_of_novelties(trained, tmp_path):
    path = tmp_path / "model.weights.h5"
    trained["novelties"].save_weights(path)
    heir = zoo.novelties()
    heir.optimizer.build(heir.trainable_variables)
    heir.load_weights(path)
    assert_same(zoo.predict(heir), zoo.predict(trained["novelties"]))


@pytest.mark.parametrize("name", ["twin", "novelties"])
@pytest.mark.parametrize("how", ["clone", "deepcopy"])
def test_copies(trained, name, how):
    model = trained[name]
    expected = zoo.predict(model)
    if how == "clone":
        copied = keras.models.clone_model(model)
        copied.set_weights(model.get_weights())
    else:
        copied = copy.deepcopy(model)
    ours = [type(layer) for layer in model.layers]
    assert [type(layer) for layer in copied.layers] == ours
    assert_same(zoo.predict(copied), expected)
    for variable in copied.variables:
        if "float" in variable.dtype:
            variable.assign(variable + 1)
    assert_same(zoo.predict(model), expected)


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("name", ["twin", "novelties"])
def test_export(trained, name, data_file, tmp_path):
    model = trained[name]
    model.export(tmp_path / "served", verbose=False)
    out = tmp_path / "out.npz"
    run_python(SERVE, tmp_path / "served", data_file, out)
    assert_same(dict(np.load(out)), zoo.predict(model, samples=5))


@pytest.mark.backend("tensorflow")
def test_mirrored_strategy():
    run_python(MIRRORED, ROOT)


@pytest.mark.backend("jax")
def test_data_parallel():
    run_python(SHARDED, ROOT)
