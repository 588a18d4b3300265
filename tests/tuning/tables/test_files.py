"""Files: encodings, separators, and lines of names."""

import pytest

from tests.tuning.tables.reading import Table, check, german, mixed

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

TABLES = {
    "equal names": Table(
        "a,a,y",
        lambda i: f"{mixed(i)},{i % 7},{i % 2}",
        numbers=("a", "a.1"),
        values={"a": mixed, "a.1": lambda i: i % 7},
        notes=("renamed: a second column 'a' is 'a.1'",),
    ),
    "no names": Table(
        "",
        lambda i: f"{i % 9}.1,{mixed(i)},{['setosa', 'virginica'][i % 2]}",
        target="column 3",
        numbers=("column 1", "column 2"),
        classes=["setosa", "virginica"],
        notes=("columns are 'column 1' to 'column 3'",),
    ),
    "names that are numbers": Table(
        "country,2000,2001",
        lambda i: f"C{i % 5},{mixed(i)},{mixed(i) * 2}",
        target="2001",
        kind="regression",
        numbers=("2000",),
        categories={"country": ["C0", "C1", "C2", "C3", "C4"]},
    ),
    "a title, comments and tabs": Table(
        "x\tname\ty",
        lambda i: f"{mixed(i)}\ta, b; {i % 2}\t{i % 2}",
        before="Export of today\n\n# x\tname\n",
        numbers=("x",),
        categories={"name": ["a, b; 0", "a, b; 1"]},
        notes=("skipped: 2 lines before the column names",),
    ),
    "Excel's own first line": Table(
        "x;y",
        lambda i: f"{german(i / 8)};{i % 2}",
        before="sep=;\n",
        numbers=("x",),
        values={"x": lambda i: round(i / 8, 2)},
    ),
    "cells over two lines, and empty last columns": Table(
        '"x\n(cm)",note,y,',
        lambda i: f'{mixed(i)},"a\nb{i % 2}",{i % 2},',
        numbers=("x (cm)",),
        categories={"note": ["a\nb0", "a\nb1"]},
        notes=("left out: 'Unnamed: 3', empty",),
    ),
    "latin-1": Table(
        "straße,preis,y",
        lambda i: f"{['Köln', 'Bern'][i % 2]},{mixed(i)} €,{i % 2}",
        encoding="cp1252",
        numbers=("preis",),
        categories={"straße": ["Bern", "Köln"]},
        notes=("encoding: Windows-1252 (Latin-1), not UTF-8",),
    ),
    "a byte order mark": Table(
        "x,y",
        lambda i: f"{mixed(i)},{i % 2}",
        encoding="utf-8-sig",
        target="y",
        numbers=("x",),
    ),
    "UTF-16": Table(
        "é\ty",
        lambda i: f"{mixed(i)}\t{i % 2}",
        encoding="utf-16",
        numbers=("é",),
        notes=("encoding: UTF-16",),
    ),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_a_person_reads_it(tmp_path, table):
    check(table, tmp_path / "table.csv")
