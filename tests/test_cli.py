import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ext import cli
from keras_ext.cli import arrays, check, imports, start
from keras_ext.doctor import Finding

ROOT = Path(__file__).parents[1]


def blobs(n=192, scale=1.0):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 4)) + 3 * np.eye(4)[y]
    return {"x": (scale * x).astype("float32"), "y": y}


def mlp(compiled=True, **kwargs):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(16, "relu", **kwargs),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    if compiled:
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.Adam(0.01), loss)
    return model


class Case:
    """A model and data in files, and the command on them."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, model=None, **data):
        if model is not None:
            model.save(self.folder / "model.keras")
        if data:
            np.savez(self.folder / "data.npz", **data)
        return self

    def check(self, *options, model="model.keras", data="data.npz"):
        paths = (self.folder / model, "--data", self.folder / data)
        return cli.main(["check", *map(str, (*paths, *options))])


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    case = Case(tmp_path_factory.mktemp("healthy"))
    return case.write(mlp(), **blobs())


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def error_of(capsys, status):
    out, err = capsys.readouterr()
    assert status == 2 and out == ""
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("keras-ext: error: ")
    return lines[0].removeprefix("keras-ext: error: ")


def test_a_healthy_model(healthy, capsys):
    model = (healthy.folder / "model.keras").read_bytes()
    data = (healthy.folder / "data.npz").read_bytes()
    assert healthy.check("--epochs", 5) == 0
    out, err = capsys.readouterr()
    backend = keras.config.backend()
    assert out.startswith(
        "model.keras, checked before training and in 30 steps of it, on "
        f"{backend}: "
    )
    assert "ERROR" not in out and err == ""
    # Nothing is written beside the files, and nothing in them.
    assert (healthy.folder / "model.keras").read_bytes() == model
    assert (healthy.folder / "data.npz").read_bytes() == data
    assert len(list(healthy.folder.iterdir())) == 2


def test_an_error_is_exit_status_1_and_a_page(case, capsys):
    page = case.folder / "page.html"
    case.write(mlp(kernel_initializer="zeros"), **blobs())
    assert case.check("--html", page, "--epochs", 2) == 1
    out, _ = capsys.readouterr()
    assert "ERROR: symmetric units" in out and "1 error" in out
    assert "keras_ext.initializers.HeNormal()" in out
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>") and "symmetric units" in html
    assert html.count("data:image/png") >= 2
    assert "<title>Training report: model.keras</title>" in html


def test_nan_in_the_data(case, capsys):
    data = blobs()
    data["x"][3] = np.nan
    assert case.write(mlp(), **data).check("--epochs", 1) == 1
    assert "ERROR: numerical instability" in capsys.readouterr().out


def test_labels_out_of_range(case, capsys):
    """Some backends cannot train with them."""
    data = blobs()
    data["y"] = data["y"] + 5
    assert case.write(mlp(), **data).check("--epochs", 1) == 1
    assert "output does not fit the loss" in capsys.readouterr().out


def test_a_model_that_is_not_compiled(case, capsys):
    case.write(mlp(compiled=False), **blobs())
    assert case.check() == 0
    out, err = capsys.readouterr()
    assert "not compiled" in err and len(err.splitlines()) == 1
    assert "checked before training, on" in out
    case.write(mlp(compiled=False, kernel_initializer="zeros"))
    assert case.check() == 1
    assert "symmetric units" in capsys.readouterr().out


def test_several_inputs_and_outputs(case, capsys):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    hidden = keras.layers.Dense(8, "relu")(keras.ops.concatenate([a, b], -1))
    outputs = [keras.layers.Dense(1)(hidden), keras.layers.Dense(1)(hidden)]
    model = keras.Model([a, b], outputs)
    model.compile(keras.optimizers.Adam(0.01), ["mse", "mae"])
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(64, n)).astype("float32") for n in (4, 2)]
    data = {"x_0": x[0], "x_1": x[1], "y_0": x[0][:, :1], "y_1": x[1][:, 0]}
    data |= {"x_0_val": x[0], "x_1_val": x[1]}
    data |= {"y_0_val": x[0][:, :1], "y_1_val": x[1][:, 0]}
    case.write(model, **data)
    assert case.check("--epochs", 2) == 0
    assert "4 steps" in capsys.readouterr().out
    case.write(x_0=x[0], y=x[0])
    assert "2 inputs, and the data have 1" in error_of(capsys, case.check())
    case.write(x_0=x[0], x_2=x[0])
    assert "either x or x_0, x_1" in error_of(capsys, case.check())


@pytest.mark.parametrize(
    "options, samples, steps",
    [
        ((), 320, 20 * 10),
        ((), 32 * 100, 3 * 100),
        ((), 32 * 299, 299),
        ((), 32 * 1000, 300),
        (("--epochs", "2"), 320, 20),
        (("--batch-size", "320", "--epochs", "2"), 320, 2),
    ],
)
def test_the_probe_is_short(case, monkeypatch, options, samples, steps):
    done = []

    def fit(self, x, y, batch_size, epochs, **kwargs):
        done.append(epochs * -(-len(x) // batch_size))
        assert len(x) == len(y)

    case.write(mlp(), **blobs(samples))
    monkeypatch.setattr(keras.Sequential, "fit", fit)
    args = cli._parser().parse_args(
        ["check", str(case.folder / "model.keras"), "--data", ".", *options]
    )
    _, counted, failure = check._probe(args, blobs(samples))
    assert failure is None and done == [counted] == [steps]


def test_validation_data_are_used(case, monkeypatch):
    data = blobs(64)
    data |= {"x_val": data["x"][:8], "y_val": data["y"][:8]}
    case.write(mlp(), **data)
    args = cli._parser().parse_args(
        ["check", str(case.folder / "model.keras"), "--data", "."]
    )
    doctor, *_ = check._probe(args, arrays.load(case.folder / "data.npz"))
    assert len(doctor.history.logs["val_loss"]) == 20


def test_findings_are_told_once():
    def finding(problem, severity, *consequences):
        return Finding(
            *(problem, None, None, None, severity, {}, "It is so."),
            consequences=consequences,
        )

    low = finding("learning_rate_too_low", "info")
    unscaled = finding("unscaled_input", "warning")
    saturated = finding("saturated_activation", "warning")
    chain = finding("unscaled_input", "error", saturated)
    merged = check._merged([low, saturated, unscaled], [chain])
    assert merged == [chain, low]
    assert check._merged([unscaled], []) == [unscaled]


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "required: COMMAND"),
        (["cheque"], "invalid choice: 'cheque'"),
        (["check"], "required: MODEL.keras, --data"),
        (["check", "a.keras", "--data"], "--data: expected one argument"),
        (
            ["check", "a.keras", "--data", "b", "--epochs", "0"],
            "--epochs: must be an integer >= 1, not '0'",
        ),
        (
            ["check", "a.keras", "--data", "b", "--html", "no/such/a.html"],
            "'no/such/a.html' cannot be written",
        ),
        (["check", "a.keras", "--data", "no.npz"], "'no.npz' does not exist"),
    ],
)
def test_wrong_arguments(options, message, capsys):
    assert message in error_of(capsys, cli.main(options))


@pytest.mark.parametrize(
    "data, message",
    [
        ({"z": np.ones(3)}, "has no array x; it has z"),
        ({"x": np.ones((8, 5)), "y": np.ones(8)}, "shape (4,); x has"),
        ({"x": np.ones((8, 4)), "y": np.ones(7)}, "x 8, y 7"),
        ({"x": np.ones((0, 4)), "y": np.ones(0)}, "x is empty"),
        ({"x": np.array(["a"] * 8), "y": np.ones(8)}, "array of numbers"),
        ({"x": np.array([{}], object), "y": np.ones(1)}, "cannot be read"),
        ({"x": np.ones((8, 4)), "x_val": np.ones((2, 4)), "y": np.ones(8)},)
        + ("x_val, but no y_val",),
        ({"x": np.ones((8, 4)), "y": np.ones((8, 2, 5))}, "do not fit"),
        ({"x": np.ones((8, 4), "float32")}, "do not fit"),
    ],
)
def test_wrong_data(healthy, case, data, message, capsys):
    case.write(**data)
    status = healthy.check(data=case.folder / "data.npz")
    assert message in error_of(capsys, status)


def test_files_that_are_something_else(healthy, case, capsys):
    (case.folder / "junk.keras").write_bytes(b"junk")
    (case.folder / "junk.npz").write_bytes(b"junk")
    np.save(case.folder / "x.npy", np.ones(3))
    for name, message in (
        ("junk.npz", "cannot be read"),
        ("x.npy", "not an npz file"),
        (".", "is not a file"),
    ):
        status = healthy.check(data=case.folder / name)
        assert message in error_of(capsys, status)
    for name, message in (
        ("junk.keras", "not a model in Keras's format"),
        ("no.keras", "does not exist"),
    ):
        paths = (case.folder / name, "--data", healthy.folder / "data.npz")
        status = cli.main(["check", *map(str, paths)])
        assert message in error_of(capsys, status)


def test_code_in_a_model_is_not_run(case, capsys):
    ran = str(case.folder / "ran")
    layers = [
        keras.Input((4,)),
        keras.layers.Lambda(lambda x: (open(ran, "w").close(), x)[1]),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    case.write(model, **blobs())
    Path(ran).unlink()
    assert "Lambda" in error_of(capsys, case.check())
    assert not Path(ran).exists()


def test_a_loss_that_cannot_be_restored(case, capsys):
    def own_loss(y_true, y_pred):
        return keras.ops.mean(y_pred, axis=-1)

    model = mlp(compiled=False)
    model.compile("sgd", own_loss)
    case.write(model, **blobs())
    status = case.check()
    out, err = capsys.readouterr()
    assert status == 0 and "checked before training, on" in out
    assert "without what it was compiled with: function 'own_loss'" in err


OWN = """
import keras
import own_parts

class Net(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(16, "relu")
        self.out = keras.layers.Dense(own_parts.CLASSES, "softmax")

    def call(self, x):
        return self.out(self.hidden(x))

def own_loss(y_true, y_pred):
    loss = keras.losses.sparse_categorical_crossentropy
    return loss(y_true, y_pred)
"""


@pytest.mark.parametrize("name", ["own_net.py", "own_net"])
def test_classes_of_ones_own(case, name, capsys, monkeypatch):
    monkeypatch.chdir(case.folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("own_net.py").write_text(OWN)
    Path("own_parts.py").write_text("CLASSES = 3")
    made = imports.custom_objects(["own_net.py"])
    assert {"Net", "own_loss"} <= set(made)
    model = made["Net"]()
    model.compile(keras.optimizers.Adam(0.01), made["own_loss"])
    model(blobs()["x"][:2])
    case.write(model, **blobs())
    for module in ("own_net", "own_parts"):
        del sys.modules[module]
    message = error_of(capsys, case.check())
    assert "class 'Net' is missing; --import names the file" in message
    assert case.check("--import", name, "--epochs", 5) == 0
    assert "30 steps" in capsys.readouterr().out
    for module in ("own_net", "own_parts"):
        del sys.modules[module]


@pytest.mark.parametrize(
    "name, problem",
    [
        ("none.py", "FileNotFoundError"),
        ("none", "ModuleNotFoundError"),
        ("broken.py", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_imported(healthy, case, name, problem, capsys):
    (case.folder / "broken.py").write_text("1 / 0")
    if name.endswith(".py"):
        name = str(case.folder / name)
    message = error_of(capsys, healthy.check("--import", name))
    assert message.startswith(f"--import {name!r} fails: {problem}")
    assert "broken" not in sys.modules


def test_ctrl_c(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "_check", interrupt)
    assert cli.main(["check", "model.keras", "--data", "data.npz"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_help(capsys):
    for args in (["--help"], ["check", "--help"]):
        with pytest.raises(SystemExit) as exit:
            cli.main(args)
        assert exit.value.code == 0
        assert "check" in capsys.readouterr().out


def test_the_installed_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"keras-ext": "keras_ext.cli:main"}


@pytest.mark.slow
def test_as_a_module(healthy):
    files = [healthy.folder / name for name in ("model.keras", "data.npz")]
    done = subprocess.run(
        [sys.executable, "-m", "keras_ext.cli", "check", str(files[0])]
        + ["--data", str(files[1]), "--epochs", "2"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "12 steps" in done.stdout and "Traceback" not in done.stderr


# A process in which only some packages are installed.
ALONE = """
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: (
    None if name in {missing} else find(name, *args)
)
from keras_ext import cli
sys.exit(cli.main({arguments}))
"""


def alone(folder, installed, *arguments):
    """Run a command where `installed` are the only ones of these packages."""
    packages = {"keras", "tensorflow", "jax", "torch"}
    env = os.environ | {"KERAS_HOME": str(folder)}
    for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"):
        env.pop(name, None)
    missing = sorted(packages - set(installed))
    code = ALONE.format(missing=missing, arguments=arguments)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.mark.backend("torch")
def test_help_and_mlflow_need_no_keras(tmp_path):
    status, out, err = alone(tmp_path, [], "--help")
    assert status == 0 and "search" in out and err == []
    uri = f"sqlite:///{tmp_path}/none.db"
    for arguments, problem in (
        (["ui", "--tracking-uri", uri], "there is no store"),
        (["replay", str(tmp_path)], "has no messages"),
    ):
        status, _, (line,) = alone(tmp_path, [], *arguments)
        assert status == 2 and problem in line


@pytest.mark.backend("jax", "torch")
def test_the_installed_backend_is_used(healthy, tmp_path):
    """Also where it is not the default of Keras; there is no other noise."""
    backend = keras.config.backend()
    files = [str(healthy.folder / name) for name in ("model.keras", "data.npz")]
    arguments = ["check", files[0], "--data", files[1], "--epochs", "1"]
    status, out, (line,) = alone(tmp_path, ["keras", backend], *arguments)
    assert status == 0 and f", on {backend}: " in out
    assert f"backend {backend!r}" in line and "KERAS_BACKEND" in line


@pytest.mark.backend("torch")
def test_no_backend_at_all(tmp_path):
    status, out, (line,) = alone(tmp_path, ["keras"], "search", "--help")
    assert status == 2 and out == "" and "none is installed" in line


@pytest.mark.backend("torch")
@pytest.mark.parametrize(
    "installed, variable, file, chosen",
    [
        ("jax torch", "torch", "jax", "torch"),
        ("jax torch", "", "torch", "torch"),
        ("jax torch", None, "tensorflow", "jax"),
        ("torch", None, None, "torch"),
        ("torch", "jax", None, "KERAS_BACKEND is 'jax', which is not"),
        ("", None, "torch", "none is installed"),
        ("", "openvino", None, "openvino"),
    ],
)
def test_which_backend(
    installed, variable, file, chosen, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name in installed.split()
    )
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", variable or "")
    if variable is None:
        monkeypatch.delenv("KERAS_BACKEND")
    if file:
        config = json.dumps({"backend": file})
        (tmp_path / "keras.json").write_text(config)
    try:
        start._choose_backend()
    except cli.UsageError as error:
        assert chosen in str(error)
        return
    assert os.environ["KERAS_BACKEND"] == chosen
    # Whoever has chosen it need not be told.
    assert (chosen in capsys.readouterr().err) == (
        chosen not in (variable, file)
    )


@pytest.mark.backend("torch")
def test_the_log_of_libraries_is_held_back(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with start.quiet_stderr():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), start.quiet_stderr():
        os.write(2, b"reason")
        raise ImportError
    assert capfd.readouterr().err == "reason"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with start.quiet_stderr():
        os.write(2, b"asked for")
    assert capfd.readouterr().err == "asked for"


class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_class_that_is_missing_is_named(case, capsys):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(Doubling()(inputs)))
    case.write(model, **blobs())
    message = error_of(capsys, case.check())
    assert "class 'Doubling' is missing; --import names" in message
