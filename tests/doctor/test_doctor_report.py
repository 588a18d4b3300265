import ast
import doctest
import html.parser
import io
import re
import textwrap

import numpy as np
import pytest

from keras_ext.doctor import Finding, Remedy, report
from keras_ext.doctor.finding import PROBLEMS
from keras_ext.doctor.remedies import choice, remedies_for
from keras_ext.doctor.report import report_figures, terminal, wording
from keras_ext.doctor.run_history import (
    Facts,
    LayerFacts,
    OutputFacts,
    RunHistory,
)
from tests.fresh_process import run_python

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

EVIL = "<script>alert(1)</script>\"'&"
RED = "\033[31m"


def finding(problem="dying_relu", **changes):
    values = {
        "layer": "net/relu",
        "epoch": 2,
        "step": 31,
        "severity": "warning",
        "evidence": {"dead_share": 0.87512345, "threshold": 0.5},
        "message": "Most units fire for no input.",
        "remedies": (Remedy("Leak.", "keras_ext.layers.LeakyReLU(0.1)"),),
    }
    return Finding(problem, **(values | changes))


def chained():
    late = finding("vanishing_gradient", layer="net/a", step=None)
    middle = finding("saturated_activation", layer="net/a", epoch=0, step=0)
    return finding(
        "unscaled_input",
        layer=None,
        epoch=None,
        step=None,
        severity="error",
        consequences=(middle, late),
    )


def history(**changes):
    steps = np.arange(0, 40, 10)
    values = {
        "facts": Facts(
            (LayerFacts("net/a", "Dense", "tanh", 8, 4, 0.5),),
            (OutputFacts("a", "tanh", 8, None),),
            "SGD",
            0.01,
        ),
        "logs": {"loss": np.array([2.0, 1.0]), "val_loss": np.ones(2)},
        "steps": steps,
        "series": {
            "grad_norm/net/a": np.array([1.0, 0.1, 0.0, np.nan]),
            "dead_relu/net/a": np.linspace(0, 1, 4),
            "saturation/net/a": np.full(4, np.nan),
            "loss": np.array([3.0, 2.0, 1.5, 1.0]),
        },
        "steps_per_epoch": 20,
    }
    return RunHistory(**(values | changes))


def test_a_block():
    assert report.text([finding()], width=60) == textwrap.dedent(
        """\
        WARNING: dying ReLU (layer net/relu, epoch 2, step 31)
          Most units fire for no input.
          evidence:
            dead share  0.875
            threshold   0.5
          what helps:
            1. Leak.
                 keras_ext.layers.LeakyReLU(0.1)"""
    )


def test_a_chain():
    shown = report.text([chained()], width=88)
    assert "ERROR: unscaled input (before training)" in shown
    chain = "unscaled input -> saturated activation -> vanishing gradient"
    assert f"chain: {chain}\n" in shown
    assert "- saturated activation (layer net/a, epoch 0, step 0): " in shown
    assert shown.count("ERROR") + shown.count("WARNING") == 1


def test_blocks_keep_the_order():
    shown = report.text([chained(), finding(), finding("overfitting")])
    heads = [line for line in shown.splitlines() if line[:1].isalpha()]
    assert [h.partition(":")[0] for h in heads] == [
        "ERROR",
        "WARNING",
        "WARNING",
    ]


def test_nothing_found():
    assert report.text([]) == "The doctor found nothing wrong."
    assert "found nothing wrong" in report.html([], history())


def test_a_finding_without_anything():
    bare = finding(layer=None, evidence={}, remedies=(), message="So it is.")
    shown = report.text([bare])
    assert shown.splitlines()[1:] == ["  So it is."]
    assert "Evidence" not in report.html([bare])


@pytest.mark.parametrize("width", [40, 60, 88])
def test_lines_fit_the_terminal(width):
    long = "word " * 60
    layer = "/".join(f"part{i}" for i in range(4))
    shown = report.text(
        [finding(message=long, layer=layer, remedies=(Remedy(long, "f()"),))],
        width=width,
    )
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("word") == 120


def test_the_width_is_the_terminals(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    shown = report.text([finding(message="word " * 60)])
    assert 40 < max(map(len, shown.splitlines())) <= 50
    monkeypatch.setenv("COLUMNS", "300")
    shown = report.text([finding(message="word " * 60)])
    assert max(map(len, shown.splitlines())) <= 88


@pytest.mark.parametrize("width", [40, 60])
def test_wrapped_code_stays_python(width):
    for problem in PROBLEMS:
        remedies = remedies_for(problem)
        shown = report.text([finding(problem, remedies=remedies)], width=width)
        _, _, helps = shown.partition("what helps:\n")
        # After each advice the code is indented by two more.
        code = re.findall(r"(?:^ {9,}.*\n?)+", helps, re.M)
        assert len(code) == len(remedies)
        for lines, remedy in zip(code, remedies, strict=True):
            tree = ast.parse(textwrap.dedent(lines))
            assert ast.dump(tree) == ast.dump(ast.parse(remedy.change))


def test_colors_are_only_marks():
    findings = [chained(), finding()]
    plain = report.text(findings, width=60)
    colored = report.text(findings, color=True, width=60)
    assert "\033" not in plain and RED in colored
    assert re.sub(r"\033\[\d+m", "", colored) == plain
    for line in colored.splitlines():
        codes = re.findall(r"\033\[\d+m", line)
        assert not codes or codes[-1] == "\033[0m"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_write(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for stream, is_colored in ((Terminal(), True), (io.StringIO(), False)):
        report.write([finding()], stream)
        assert ("\033[" in stream.getvalue()) == is_colored
        assert stream.getvalue().endswith("\n")
    monkeypatch.setenv("NO_COLOR", "1")
    report.write([finding()], stream := Terminal())
    assert "\033" not in stream.getvalue()


def test_write_to_standard_error(capsys):
    report.write([finding()])
    assert "dying ReLU" in capsys.readouterr().err


def test_a_terminal_that_knows_ascii_only():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    report.write([finding(layer="net/größe")], stream)
    assert b"gr\\xf6\\xdfe" in raw.getvalue()


def test_names_cannot_steer_the_terminal():
    evil = "a\033]0;title\007\033[2J\u202eb"
    shown = report.text(
        [finding(layer=evil, message=evil, evidence={evil: evil})]
    )
    assert not re.search("[\033\007\u202e]", shown)
    assert "\\u001b" in shown


@pytest.mark.parametrize(
    "value, shown",
    [
        (0.000123456, "0.000123"),
        (12345.678, "1.23e+04"),
        (13.0, "13"),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (0, "0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-infinite"),
        (1e30, "1e+30"),
        (True, "yes"),
        ("relu", "relu"),
        (None, "None"),
    ],
)
def test_numbers(value, shown):
    assert wording.number(value) == shown


class Page(html.parser.HTMLParser):
    """Collects tags and text, and checks that tags are closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.words, self.attributes = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attr) for attr in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_the_page():
    page = Page(report.html([chained(), finding()], history(), "My run"))
    for part in (
        "My run",
        "1 error, 1 warning",
        "optimizer: SGD",
        "Most units fire for no input.",
        "dead share 0.875",
        "keras_ext.layers.LeakyReLU(0.1)",
        "layer net/relu, epoch 2, step 31",
        "unscaled input → saturated activation → vanishing gradient",
    ):
        assert part in page.text, part
    # Saturation was not measured, update ratios have no series.
    assert page.tags.count("img") == 3
    images = [v for tag, key, v in page.attributes if key == "src"]
    assert all(v.startswith("data:image/png;base64,iVBOR") for v in images)


def test_the_page_needs_nothing_else():
    page = report.html([chained()], history())
    parsed = Page(page)
    assert not {"script", "link", "iframe"} & set(parsed.tags)
    assert "http:" not in page and "https:" not in page
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


def test_what_comes_from_others_is_escaped():
    bad = Finding(
        "dying_relu",
        EVIL,
        0,
        0,
        "warning",
        {EVIL: EVIL},
        EVIL,
        (Remedy(EVIL, EVIL),),
    )
    root = finding(layer=EVIL, message=EVIL, consequences=(bad,))
    alone = Page(report.html([bad]))
    assert alone.text.count(EVIL) == 6 and "script" not in alone.tags
    layer = LayerFacts(EVIL, EVIL, EVIL, 1, 1)
    page = report.html(
        [root],
        history(
            facts=Facts((layer,), (), EVIL, 0.1),
            series={f"grad_norm/{EVIL}": np.ones(4)},
        ),
        EVIL,
    )
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "<script" not in page and "alert(1)&lt;/script" in page
    # Title and heading, finding, its consequence, optimizer, the layer.
    assert parsed.text.count(EVIL) == 2 + 2 + 4 + 1 + 3
    plain = Page(report.html([finding(consequences=(finding(),))], history()))
    assert {a[:2] for a in parsed.attributes} <= {
        a[:2] for a in plain.attributes
    }


def test_without_a_history():
    page = Page(report.html([finding()]))
    assert "img" not in page.tags
    assert Page(report.html([])).text.endswith("found nothing wrong.")


@pytest.mark.parametrize("steps", [0, 1])
def test_a_short_history(steps):
    short = history(
        logs={},
        steps=np.arange(steps),
        series={"grad_norm/a": np.ones(steps), "loss": np.ones(steps)},
    )
    assert Page(report.html([], short)).tags.count("img") == 2 * steps


def test_series_that_cannot_be_drawn_leave_the_rest(caplog):
    # Matplotlib reads mathematics between dollars.
    broken = history(series={r"dead_relu/$\frac$": np.ones(4)})
    page = Page(report.html([finding()], broken))
    assert page.tags.count("img") == 1
    assert "Dead units" in caplog.text


def test_loss_curves():
    figure = report_figures.loss_curves(history())
    (axes,) = figure.axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert lines["training loss"].tolist() == [[19, 2], [39, 1]]
    assert lines["validation loss"].tolist() == [[19, 1], [39, 1]]
    assert lines["of sampled steps"][:, 0].tolist() == [0, 10, 20, 30]
    assert axes.get_yscale() == "linear" and axes.get_ylabel() == "loss"
    wide = history(logs={"loss": np.array([100.0, 1.0])})
    assert report_figures.loss_curves(wide).axes[0].get_yscale() == "log"
    epochs = history(steps_per_epoch=0)
    assert report_figures.loss_curves(epochs).axes[0].get_xlabel() == "epoch"
    nan = history(logs={"loss": np.array([np.nan])}, series={})
    assert report_figures.loss_curves(nan) is None


def test_without_matplotlib():
    page = run_python(
        """
import sys
sys.modules["matplotlib"] = None
import numpy as np
from keras_ext.doctor import report
from keras_ext.doctor.run_history import Facts, RunHistory
print(report.html([], RunHistory(Facts(), logs={"loss": np.ones(3)})))
"""
    )
    assert 'pip install "keras-ext[mlflow]"' in Page(page).text


def test_reports_load_neither_mlflow_nor_matplotlib():
    loaded = run_python(
        "import sys, keras\n"
        "before = set(sys.modules)\n"
        "import keras_ext.doctor.report, keras_ext.doctor.remedies\n"
        "keras_ext.doctor.report.text([])\n"
        "loaded = set(sys.modules) - before\n"
        "print(*{'mlflow', 'matplotlib', 'keras_ext.tracking'} & loaded)"
    ).split()
    assert loaded == []


def test_examples():
    for module in (terminal, choice):
        result = doctest.testmod(module)
        assert result.attempted and not result.failed
