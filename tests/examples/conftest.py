"""Running an example as `python examples/<name>.py --quick` does."""

import pathlib
import runpy
import sys
from dataclasses import dataclass

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@dataclass
class Done:
    """What an example printed and drew, and its names, to look at."""

    out: str
    figure: pathlib.Path
    names: dict

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture
def run_example(monkeypatch, capsys, tmp_path):
    """Run an example in this process; check that it drew its figure."""

    def run(name, *args):
        figure = tmp_path / f"{name}.png"
        argv = [f"{name}.py", "--quick", "--figure", str(figure), *args]
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.syspath_prepend(str(EXAMPLES))
        capsys.readouterr()
        names = runpy.run_path(
            str(EXAMPLES / f"{name}.py"), run_name="__main__"
        )
        assert figure.read_bytes().startswith(b"\x89PNG")
        return Done(capsys.readouterr().out, figure, names)

    return run
