"""docs/doctor.md lists the thresholds of the rules, and all of them."""

import inspect
import pathlib
import re

import pytest

from keras_ext.doctor.rules import shared

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import threshold_table

    return threshold_table


def test_the_page_is_that_of_the_rules(table):
    page = (DOCS / "doctor.md").read_text("utf-8")
    assert page == table.written(page), "Run python docs/threshold_table.py"


def test_each_line_is_short(table):
    for text in table.blocks().values():
        for line in text.splitlines():
            assert len(line.replace("- ", "").split()) <= 15, line


def test_each_threshold_is_listed(table):
    """A number that a rule file names stands in some condition."""
    modules = (*table.RULES, table.initial, table.learning_summary, shared)
    named, listed = set(), set()
    for module in modules:
        numbers = {
            (name, value)
            for name, value in vars(module).items()
            if name.isupper() and type(value) in (int, float)
        }
        named |= numbers
        source = inspect.getsource(module)
        for block in re.findall(r"^(?:COND|DEF)\w+.*?^}", source, re.M | re.S):
            words = set(re.findall(r"\w+", block))
            listed |= {x for x in numbers if x[0] in words}
    assert named == listed
