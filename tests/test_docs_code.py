"""The code of the README and the pages of docs/ runs, and prints what they say.

The Python blocks of a page run one after the other, in one namespace and in an
empty directory. A block whose output follows, at once or after a paragraph of
one sentence with a colon at its end, must print it; `...` stands for anything.
"""

import contextlib
import io
import re
import runpy
import shutil

import keras
import pytest

from tests.doc_pages import PAGES, ROOT, blocks

# Written above a block: why it is not run.
NOT_RUN = re.compile(r"<!-- not run: (\S.{10,}) -->")
PRINTS = re.compile(r"\b(prints?|output)\b[^\n]*:$")

NUMBER = r"(?<![\w.])\d+(?:\.\d*)?(?:e[-+]?\d+)?(?![\w.]*\w)"
TOKEN = re.compile(rf"\.\.\.|\s+|(?P<number>{NUMBER})|.", re.DOTALL)

MODEL = """
import keras, keras_ext, numpy as np
keras.utils.set_random_seed(1)
x = np.random.default_rng(1).normal(size=(512, 8)).astype("float32")
y = x.sum(axis=1)
model = keras.Sequential([
    keras.Input((8,)),
    keras.layers.Dense(8, "relu", name="first"),
    keras.layers.Dense(1, name="out"),
])
model.compile("sgd", "mse")
"""
# What a page takes as given.
PRELUDES = {
    "components.md": MODEL,
    "how-to-mlflow.md": MODEL,
    "monitors.md": MODEL,
    "searches.md": "import keras_tuner",
}
# For shorter trainings, and a server that is there: what is written in place
# of what. The output of a block that is changed is not looked at.
SHORTER = {
    "README.md": {
        "max_trials=5": "max_trials=2",
        "validation_split=0.2, epochs=5": "validation_split=0.2, epochs=1",
    },
    "how-to-mlflow.md": {
        "max_trials=5": "max_trials=2",
        "validation_split=0.25, epochs=5": "validation_split=0.25, epochs=1",
        "http://127.0.0.1:5000": "sqlite:///mlflow.db",
        "epochs=50": "epochs=2",
    },
    "searches.md": {
        "max_trials=12": "max_trials=2",
        "validation_split=0.2, epochs=10": "validation_split=0.2, epochs=1",
    },
}


def is_output(block):
    """Whether it is what the block of code before it prints."""
    text = block.before
    short = "\n\n" not in text and bool(PRINTS.search(text))
    return block.language == "" and (not text or short)


def steps(page):
    """Return each block of Python that runs, and what it is to print."""
    found = blocks(page)
    result = []
    for i, block in enumerate(found):
        if block.language != "python":
            continue
        if NOT_RUN.search(block.before.rpartition("\n\n")[2]):
            continue
        output = [b.text for b in found[i + 1 : i + 2] if is_output(b)]
        result.append((block, *(output or [None])))
    return result


def same(expected, printed):
    """Whether a text is what was expected, but for the last digits.

    `...` stands for anything. Numbers that are measured differ a little
    from machine to machine; whole ones below 100 do not.
    """
    pattern, numbers = r"\s*", []
    for token in TOKEN.finditer(expected.strip()):
        part = token[0]
        if token["number"]:
            pattern += rf"\s*({NUMBER})"
            numbers.append(part)
        elif part == "...":
            pattern += ".*?"
        else:
            pattern += r"\s+" if part.isspace() else re.escape(part)
    match = re.fullmatch(pattern + r"\s*", printed, re.DOTALL)
    return match is not None and all(map(close, numbers, match.groups()))


def close(expected, printed):
    """Whether two numbers, as they are written, are about the same."""
    if expected.isdigit() and printed.isdigit() and int(expected) < 100:
        return int(expected) == int(printed)
    return float(printed) == pytest.approx(float(expected), rel=0.2, abs=0.02)


def run_the_example_of_the_doctor():
    """Make the runs that the page about the doctor looks for."""
    path = ROOT / "examples" / "why_is_it_not_learning.py"
    with contextlib.redirect_stdout(io.StringIO()):
        names = runpy.run_path(str(path))
        names["main"](4, "figure.png", "sqlite:///mlflow.db")


WITH_PYTHON = [p for p in PAGES if steps(p)]


@pytest.mark.backend("torch")
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python(page, tmp_path, tracking_uri, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("COLUMNS", "78")
    # Making a store takes seconds; pages write to one in their directory.
    database = tracking_uri.removeprefix("sqlite:///")
    shutil.copy(database, tmp_path / "mlflow.db")
    keras.utils.clear_session()
    names = {"__name__": "__main__"}
    exec(PRELUDES.get(page.name, ""), names)
    shorter = dict(SHORTER.get(page.name, {}))
    for block, expected in steps(page):
        code = block.text
        for long in [long for long in shorter if long in code]:
            code, expected = code.replace(long, shorter.pop(long)), None
        if "experiment_names=" in code:
            run_the_example_of_the_doctor()
        printed = io.StringIO()
        where = f"{page.name}:{block.line}"
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            exec(compile("\n" * block.line + code, where, "exec"), names)
        if expected is not None:
            assert same(expected, printed.getvalue()), (
                f"{where} prints\n{printed.getvalue()}"
            )
    assert not shorter, "the page has changed"


@pytest.mark.backend("torch")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_not_run_says_why(page):
    text = page.read_text("utf-8")
    told = len(NOT_RUN.findall(text))
    assert text.count("<!-- not run") == told
    python = [block for block in blocks(page) if block.language == "python"]
    assert len(python) - len(steps(page)) == told
    # Another spelling of the language would not be run.
    assert {b.language for b in blocks(page)} <= {"", "python", "sh", "mermaid"}


def test_same_text_but_for_the_last_digits():
    assert same("loss 0.57, 3 steps\n", "loss 0.60, 3 steps")
    assert same("a  1\n...\nb 2\n", "a 1\nxyz\nb 2\n")
    assert same("[0.1 0.12]", "[0.11  0.1 ]".replace(" ]", "]"))
    assert not same("loss 0.57", "loss 0.97")
    assert not same("3 steps", "4 steps")
    assert not same("hidden_0 0.5", "hidden_1 0.5")
    assert not same("one", "one two")
