import argparse

import pytest

from keras_ext import cli
from keras_ext.cli.search.arguments import definitions, seconds

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h1s", 3601), ("5", 5)],
)
def test_times(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0s", "-3s", "1d", "1.5h", "30m1h"])
def test_no_times(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 90s"):
        seconds(text)


def test_keras_ext_has_the_searches(capsys):
    assert list(definitions()) == [
        "digits",
        "wine",
        "regression",
        "cnn",
        "rnn",
        "csv",
    ]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["search", "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    for name, definition in definitions().items():
        assert name in out and definition.help.split()[0] in out


def test_its_errors_bear_its_name(capsys):
    assert cli.main(["search", "letters"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-ext: error: ") and "letters" in line
