"""What is in the wheel and the source distribution, and that it works."""

import base64
import email.parser
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import keras
import pytest

from tests.packaging.commands import ROOT, run

pytestmark = [pytest.mark.backend("torch"), pytest.mark.slow]

HERE = pathlib.Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {"tensorflow", "jax", "torch", "mlflow", "tuner", "optuna", "all"}
DEVELOPERS = {"dev", "docs", "zoo"}


def files_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def files(distributions):
    return files_of(distributions.wheel)


@pytest.fixture(scope="module")
def metadata(files):
    (name,) = [name for name in files if name.endswith("/METADATA")]
    return email.parser.Parser().parsestr(files[name].decode())


def test_the_wheel_has_the_package_and_nothing_else(files):
    of_package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "keras_ext").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    of_searches = {
        f"keras_ext/{path.relative_to(ROOT)}"
        for path in (ROOT / "tuning").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    information = {name for name in files if ".dist-info/" in name}
    assert {name.partition("/")[2] for name in information} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt"),
        "licenses/LICENSE",
    }
    assert set(files) - information == of_package | of_searches
    assert "keras_ext/py.typed" in files
    assert "keras_ext/tuning/digits.py" in files
    assert {pathlib.PurePath(name).suffix for name in of_package} == {
        *(".py", ".typed", ".css", ".md")
    }


def test_the_source_distribution_makes_the_same_wheel(distributions, files):
    from_checkout = files_of(distributions.from_checkout)
    assert set(from_checkout) == set(files)
    assert [n for n in files if files[n] != from_checkout[n]] == []


def test_the_source_distribution_can_be_tested(distributions):
    with tarfile.open(distributions.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("README.md", "CHANGELOG.md", "LICENSE", "Makefile")
    for name in (
        *wanted,
        "constraints/tested.txt",
        "tests/packaging/test_wheel.py",
        "examples/drop_in.py",
        "benchmarks/optimizers.py",
        "docs/images/sick_and_cured.png",
    ):
        assert name in names, name
    stray = re.compile(r"__pycache__|\.pyc$|mlruns|mlflow\.db|searches/|\.git/")
    assert [name for name in names if stray.search(name)] == []


def test_metadata(metadata):
    version = (ROOT / "keras_ext" / "version.py").read_text("utf-8")
    assert f'"{metadata["Version"]}"' in version
    assert metadata["Name"] == "keras-ext"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# keras_ext\n")


def test_the_core_needs_keras_and_numpy_alone(metadata):
    needs = metadata.get_all("Requires-Dist")
    core = {need for need in needs if "extra ==" not in need}
    assert {re.split(r"[^\w-]", need)[0] for need in core} == {"keras", "numpy"}


def test_extras(metadata):
    provided = set(metadata.get_all("Provides-Extra"))
    assert provided - DEVELOPERS == EXTRAS
    needs = {extra: set() for extra in provided}
    for need in metadata.get_all("Requires-Dist"):
        name, _, extra = need.partition("; extra == ")
        if extra:
            needs[extra.strip("'\"")].add(name)
    assert needs["all"] == needs["mlflow"] | needs["tuner"] | needs["optuna"]
    assert all(needs.values())
    for backend in ("tensorflow", "jax", "torch"):
        assert len(needs[backend]) == 1


def test_the_entry_point(files):
    (name,) = [name for name in files if name.endswith("/entry_points.txt")]
    ((script, target),) = PROJECT["scripts"].items()
    assert f"{script} = {target}" in files[name].decode().splitlines()


def test_the_record_is_of_these_files(files):
    (name,) = [name for name in files if name.endswith("/RECORD")]
    for line in files[name].decode().splitlines():
        path, digest, _ = line.rsplit(",", 2)
        if digest:
            own = hashlib.sha256(files[path]).digest()
            text = base64.urlsafe_b64encode(own).rstrip(b"=").decode()
            assert digest == f"sha256={text}"


def test_twine_takes_both(distributions):
    pytest.importorskip("twine")
    twine = (sys.executable, "-m", "twine", "check", "--strict")
    told = run(*twine, distributions.wheel, distributions.sdist)
    assert told.count("PASSED") == 2


def checked(program, python, cache):
    """Returns the lines that mypy says of a program: number and text."""
    # Away from the checkout, which mypy would find.
    copied = shutil.copy(HERE / program, cache)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict"),
            *("--python-executable", python, "--cache-dir", cache),
            # Of what keras_ext needs, Keras has no types of its own.
            *("--ignore-missing-imports", "--no-error-summary"),
            copied,
        ],
        capture_output=True,
        text=True,
        cwd=cache,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert not done.stderr, done.stderr
    lines = re.findall(r":(\d+): (\w+: .*)", done.stdout)
    return [(int(number), text) for number, text in lines]


@pytest.fixture(scope="module")
def mypy(bare_environment, tmp_path_factory):
    pytest.importorskip("mypy")
    cache = tmp_path_factory.mktemp("mypy")
    return lambda program: checked(program, bare_environment, cache)


def test_a_users_program_is_typed(mypy):
    said = [text for _, text in mypy("user_program.py")]
    assert [text for text in said if text.startswith("error")] == []
    types = [text.partition('"')[2].rstrip('"') for text in said]
    names = [re.sub(r"\b[a-z_]+\.", "", name) for name in types]
    assert names[0].startswith("ndarray[")
    assert names[1].startswith("dict[str, ndarray[")
    # Of Matplotlib, which is not there.
    assert names[2] == "Any"
    assert names[3:] == [
        *("list[Finding]", "str", "RandomSearch"),
        *("float", "Adam", "str"),
    ]


def test_a_users_errors_are_found(mypy):
    program = (HERE / "user_errors.py").read_text("utf-8").splitlines()
    wanted = {
        number: line.partition("# error: ")[2]
        for number, line in enumerate(program, 1)
        if "# error: " in line
    }
    found = {
        number: text.rpartition("[")[2].rstrip("]")
        for number, text in mypy("user_errors.py")
        if text.startswith("error")
    }
    assert found == wanted and len(wanted) >= 8


def test_without_py_typed_nothing_is_found(bare_environment, tmp_path):
    """Shows that it is the wheel's types that find the errors."""
    packages = next(bare_environment.parents[1].rglob("site-packages"))
    marker = packages / "keras_ext" / "py.typed"
    marker.rename(marker.with_suffix(".away"))
    try:
        said = checked("user_errors.py", bare_environment, tmp_path)
    finally:
        marker.with_suffix(".away").rename(marker)
    assert not any("arg-type" in text for _, text in said)


def test_the_installed_wheel_trains_and_checks(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    environment["KERAS_BACKEND"] = keras.config.backend()
    inside = {"env": environment, "cwd": tmp_path}
    program = HERE / "smoke_program.py"
    told = run(sys.executable, program, ROOT, **inside)
    assert "trains" in told
    command = [
        *(sys.executable, installed / "bin" / "keras-ext", "check"),
        *("model.keras", "--data", "data.npz", "--epochs", "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, **inside)
    assert done.returncode == 1, done.stderr
    assert "ERROR: symmetric units" in done.stdout
