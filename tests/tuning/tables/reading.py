"""Tables as people have them: what is read, and what is reported."""

import json
import warnings
from dataclasses import dataclass, field

import numpy as np

from tuning.tables import load_table, prepare
from tuning.tables.options import Options

N = 60


def mixed(i, size=101):
    """Return numbers that follow no order."""
    return i * 37 % size


@dataclass
class Table:
    """A file, and what a person would say about it.

    `values` are the expected numbers of an input, or of the target (`y`), row
    by row; `None` is a missing one. `notes` are lines, or parts of lines.
    """

    names: str
    row: object
    target: str = "y"
    kind: str = "binary"
    numbers: tuple = ()
    categories: dict = field(default_factory=dict)
    classes: list | None = None
    values: dict = field(default_factory=dict)
    notes: tuple = ()
    options: Options = Options()
    encoding: str = "utf-8"
    before: str = ""
    rows: int = N

    def text(self):
        lines = [self.names] if self.names else []
        lines += [self.row(i) for i in range(self.rows)]
        return self.before + "\n".join(lines) + "\n"


def swiss(value):
    return f"{value:,.2f}".replace(",", "'")


def german(value, digits=2):
    signs = str.maketrans(",.", ".,")
    return f"{value:,.{digits}f}".translate(signs)


def day(i, form):
    return form.format(d=i % 28 + 1, m=i % 12 + 1, y=2020 + i % 3, h=i % 24)


def check(table, path):
    """Read the table, and compare what is read with what a person would say."""
    path.write_bytes(table.text().encode(table.encoding))
    data = load_table(str(path), table.target, None, 1, table.options)
    preparation = json.loads(json.dumps(data.preparation))
    assert data.kind == table.kind
    assert tuple(preparation["numbers"]) == table.numbers
    assert list(preparation["categories"]) == list(table.categories)
    for name, words in table.categories.items():
        if words is not None:
            assert preparation["categories"][name] == words
    if table.classes is not None:
        assert preparation["classes"] == table.classes
    lines = "\n".join(data.notes)
    for note in table.notes:
        assert note in lines
    # The same preparation for new rows, here the same file.
    with warnings.catch_warnings():
        # The notes, too, report odd cells and rare categories.
        warnings.simplefilter("ignore", UserWarning)
        x = prepare(str(path), preparation)
    assert x.shape == (table.rows, data.train.x.shape[1])
    parts = (data.train, data.validation, data.test)
    rows = np.concatenate([part.x for part in parts])
    assert np.isfinite(x).all() and np.isfinite(rows).all()
    assert set(map(bytes, rows)) <= set(map(bytes, x))
    _check_values(table, data, preparation, x)


def _check_values(table, data, preparation, x):
    for name, value in table.values.items():
        expected = [value(i) for i in range(table.rows)]
        if name == "y":
            how = preparation["target"]
            parts = (data.train, data.validation, data.test)
            found = np.sort(np.concatenate([part.y for part in parts]))
            expected = np.sort(expected)
        else:
            how = preparation["numbers"][name]
            missing = how["missing"]
            expected = [missing if v is None else v for v in expected]
            found = x[:, table.numbers.index(name)]
        found = found * how["deviation"] + how["mean"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
