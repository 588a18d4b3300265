"""What `import keras_ext` brings with it."""

import keras
import pytest

from tests.fresh_process import run_python

LOADED = """
import sys
import keras
before = set(sys.modules)
import keras_ext
assert keras_ext.__version__
print(*sorted(set({names}) & (set(sys.modules) - before)))
"""


def loaded_by_import(*names):
    return run_python(LOADED.format(names=names)).split()


@pytest.mark.backend("torch")
def test_import_loads_neither_mlflow_nor_keras_tuner():
    names = ("mlflow", "keras_tuner", "matplotlib", "sklearn", "pandas")
    assert loaded_by_import(*names) == []
    # Keras itself loads some of the others, but neither of these.
    loaded = run_python("import sys, keras_ext; print(*sys.modules)").split()
    assert not {"mlflow", "keras_tuner"} & set(loaded)


def test_import_loads_no_keras():
    code = "import sys, keras_ext.doctor, keras_ext.tracking"
    assert run_python(f"{code}; print('keras' in sys.modules)") == "False\n"


LOADED_AGAIN = """
import sys
import keras_ext
{before}
model = keras.saving.load_model(sys.argv[1])
assert type(model.layers[0]) is keras_ext.layers.Dense
assert keras_ext.convert(model).layers[0].units == 2
assert not [f for f in sys.meta_path if type(f).__module__ == "keras_ext._lazy"]
"""


ASKED_AND_FAILED = """
import importlib.util
assert importlib.util.find_spec("keras")
sys.modules["numpy"] = None
try:
    import keras
except ImportError:
    del sys.modules["numpy"]
import keras
"""


@pytest.mark.parametrize(
    "before",
    [
        "import keras.saving",
        "from keras_ext import layers; import keras",
        ASKED_AND_FAILED,
    ],
)
def test_a_model_loads_whatever_was_imported_first(before, tmp_path):
    import keras_ext

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((3,)), keras_ext.layers.Dense(2)]).save(path)
    run_python(LOADED_AGAIN.format(before=before), path)


def test_import_loads_no_other_backend():
    # Keras may: with PyTorch, packages that support each other load JAX.
    others = {"tensorflow", "jax", "torch"} - {keras.config.backend()}
    assert loaded_by_import(*sorted(others)) == []


@pytest.mark.backend("jax", "torch")
def test_import_never_loads_tensorflow_on_another_backend():
    loaded = run_python("import sys, keras_ext; print(*sys.modules)").split()
    assert "tensorflow" not in loaded


WITHOUT = """
import sys
for name in ("keras_tuner", "mlflow", "matplotlib"):
    sys.modules[name] = None  # as if it were not installed
import keras_ext
keras_ext.callbacks.MLflowLogger()
for use in (
    lambda: keras_ext.tuners,
    lambda: keras_ext.tracking.connect("sqlite:///no.db"),
):
    try:
        use()
    except ImportError as error:
        print(error)
"""


@pytest.mark.backend("torch")
def test_a_missing_extra_is_named_with_its_install_command():
    tuner, mlflow = run_python(WITHOUT).strip().splitlines()
    assert 'pip install "keras-ext[tuner]"' in tuner
    assert 'pip install "keras-ext[mlflow]"' in mlflow


@pytest.mark.backend("torch")
def test_unknown_attributes_are_named():
    import keras_ext

    assert "tuners" in dir(keras_ext)
    with pytest.raises(AttributeError, match="'optimisers'"):
        keras_ext.optimisers  # noqa: B018
