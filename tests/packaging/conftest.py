"""The wheel, built once, and environments that hold it and not the checkout."""

import pathlib
import sys
import venv
from typing import NamedTuple

import numpy as np
import pytest

from tests.packaging.commands import ROOT, install, run


class Distributions(NamedTuple):
    """What `python -m build` makes.

    Attributes:
        sdist: The source distribution.
        wheel: The wheel that was built from it.
        from_checkout: The wheel that was built from the checkout.
    """

    sdist: pathlib.Path
    wheel: pathlib.Path
    from_checkout: pathlib.Path


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """Built without an isolated environment, which needs a network."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation")
    run(*build, "--outdir", folder, ROOT)
    run(*build, "--wheel", "--outdir", folder / "checkout", ROOT)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Distributions(sdist, wheel, folder / "checkout" / wheel.name)


@pytest.fixture(scope="session")
def bare_environment(distributions, tmp_path_factory):
    """The Python of an environment of the wheel and NumPy, for type checks.

    Keras has no types, and those of MLflow and Matplotlib take long.
    """
    folder = tmp_path_factory.mktemp("bare") / "env"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = pathlib.Path(run(python, "-c", code).strip())
    install(distributions.wheel, packages)
    numpy = pathlib.Path(np.__file__).parent
    (packages / "numpy").symlink_to(numpy, target_is_directory=True)
    return python


@pytest.fixture(scope="session")
def installed(distributions, tmp_path_factory):
    """A folder with the installed wheel, to be put first in `PYTHONPATH`."""
    folder = tmp_path_factory.mktemp("installed")
    install(distributions.wheel, folder)
    return folder
