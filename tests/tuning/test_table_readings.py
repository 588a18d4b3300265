"""Tables as people have them: what is read, and what is reported."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from tuning.tables import load_table, prepare
from tuning.tables.options import Options

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

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


DATE = ("d year", "d month", "d day", "d weekday")
TABLES = {
    "decimal commas": Table(
        "fläche;zimmer;y",
        lambda i: f"{german(50 + mixed(i) / 4)};{i % 4};{german(1e5 + i)}",
        kind="regression",
        numbers=("fläche", "zimmer"),
        values={
            "fläche": lambda i: round(50 + mixed(i) / 4, 2),
            "y": lambda i: 1e5 + i,
        },
        notes=("decimal comma: 'fläche'", "'y' ('100.000,00' is 100000)"),
    ),
    "points that are thousands because of another column": Table(
        "a;b;y",
        lambda i: f"{german(1000 + mixed(i), 0)};{german(i / 8)};{i % 2}",
        numbers=("a", "b"),
        values={"a": lambda i: 1000 + mixed(i)},
        notes=("thousands: 'a' (", "decimal comma: 'b'"),
    ),
    "points that are decimals because of another column": Table(
        "a;b;y",
        lambda i: f"1.{100 + mixed(i)};{0.5 + i};{i % 2}",
        numbers=("a", "b"),
        values={"a": lambda i: 1 + (100 + mixed(i)) / 1000},
    ),
    "thousands, or not at all": Table(
        "a,y",
        lambda i: f'"{900 + mixed(i):,}",{i % 2}',
        numbers=("a",),
        values={"a": lambda i: 900 + mixed(i)},
        notes=("is 1000; --decimal , overrides it)",),
    ),
    "decimal commas by option": Table(
        "a,y",
        lambda i: f'"1,{100 + mixed(i)}",{i % 2}',
        numbers=("a",),
        values={"a": lambda i: 1 + (100 + mixed(i)) / 1000},
        options=Options(decimal=","),
        notes=("decimal comma: 'a'",),
    ),
    "currencies": Table(
        "usd,eur,chf,loss,y",
        lambda i: (
            f'"${1000 + mixed(i):,.2f}",{mixed(i)}.50 €,'
            f'CHF {swiss(1000 + i)},"({1000 + i:,})",'
            f"{['sold', 'kept'][i % 2]}"
        ),
        numbers=("usd", "eur", "chf", "loss"),
        classes=["kept", "sold"],
        values={
            "usd": lambda i: 1000 + mixed(i),
            "eur": lambda i: mixed(i) + 0.5,
            "chf": lambda i: 1000 + i,
            "loss": lambda i: -1000 - i,
        },
        notes=("units removed: 'usd' ($), 'eur' (€), 'chf' (CHF)",),
    ),
    "percentages": Table(
        "share,y",
        lambda i: f"{mixed(i)} %,{i % 8 * 10}%",
        kind="regression",
        numbers=("share",),
        values={"share": mixed, "y": lambda i: i % 8 * 10},
        notes=("units removed: 'y' (%), 'share' (%)",),
    ),
    "units": Table(
        "weight,area,sales,y",
        lambda i: f"{mixed(i)} kg,{mixed(i)} m2,{mixed(i) + 1}k,{i % 2}",
        numbers=("weight", "area", "sales"),
        values={"weight": mixed, "sales": lambda i: 1000 * mixed(i) + 1000},
        notes=("units removed: 'weight' (kg), 'area' (m2)", "thousands: 'sal"),
    ),
    "a class NA": Table(
        "x,y",
        lambda i: f"{mixed(i)},{['NA', 'EU', 'AS'][i % 3]}",
        kind="classification",
        numbers=("x",),
        classes=["AS", "EU", "NA"],
        notes=("words, not missing values: 'y' ('NA')",),
    ),
    "a class None": Table(
        "x,y",
        lambda i: f"{mixed(i)},{['None', 'Mild', 'Severe'][i % 3]}",
        kind="classification",
        numbers=("x",),
        classes=["Mild", "None", "Severe"],
        notes=("words, not missing values: 'y' ('None')",),
    ),
    "NA by option": Table(
        "x,y",
        lambda i: f"{mixed(i)},{['NA', 'EU', 'AS'][i % 3]}",
        numbers=("x",),
        classes=["AS", "EU"],
        options=Options(missing=["NA"]),
        notes=("left out: 20 rows without 'y'", "missing values: 'y' ('NA')"),
    ),
    "NA among numbers, and as a category": Table(
        "x,garage,y",
        lambda i: (
            f"{'NA' if i % 9 == 0 else mixed(i)},"
            f"{['NA', 'Attached', 'Detached'][i % 3]},{i % 2}"
        ),
        numbers=("x",),
        categories={"garage": ["Attached", "Detached", "NA"]},
        values={"x": lambda i: None if i % 9 == 0 else mixed(i)},
        notes=("missing values: 'x' ('NA')", "values: 'garage' ('NA')"),
    ),
    "classes + and -": Table(
        "x,y",
        lambda i: f"{mixed(i)},{'+-'[i % 2]}",
        numbers=("x",),
        classes=["+", "-"],
    ),
    "an index without a name": Table(
        ",x,y",
        lambda i: f"{i},{mixed(i)},{i % 2}",
        numbers=("x",),
        notes=("left out: 'Unnamed: 0', row numbers",),
    ),
    "an index that begins again": Table(
        "Unnamed: 0,x,y",
        lambda i: f"{i % 30},{mixed(i)},{i % 2}",
        numbers=("x",),
        notes=("left out: 'Unnamed: 0', row numbers",),
    ),
    "an index of rows that were chosen": Table(
        ",x,y",
        lambda i: f"{i * 37 % 997},{mixed(i)},{i % 2}",
        numbers=("x",),
        notes=("left out: 'Unnamed: 0', row numbers",),
    ),
    "rows with names, as R writes them": Table(
        '"x","y"',
        lambda i: f'"{i + 1}",{mixed(i)},"{"ab"[i % 2]}"',
        numbers=("x",),
        classes=["a", "b"],
        notes=("left out: 'Unnamed: 0', row numbers",),
    ),
    "ids": Table(
        "PassengerId,customerID,uuid,name,store_id,host_id,x,y",
        lambda i: (
            f"{i + 1},{i * 7919},{i * 7919:x}-f,Person {i},{i % 4},"
            f"{i // 2 * 97},{mixed(i)},{i % 2}"
        ),
        rows=120,
        numbers=("x",),
        categories={"store_id": ["0", "1", "2", "3"]},
        notes=(
            "left out: 'PassengerId', an id, different in each row",
            "left out: 'customerID', an id, different in each row",
            "left out: 'uuid', text with 120 different values, an id",
            "left out: 'name', text with 120 different values",
            "left out: 'host_id', an id with 60 different values",
        ),
    ),
    "an id that is kept": Table(
        "id,y",
        lambda i: f"{i},{i % 2}",
        numbers=("id",),
        options=Options(keep=["id"]),
    ),
    "measurements that differ in each row": Table(
        "population,x,y",
        lambda i: f"{mixed(i, 9973)},{i},{i % 2}",
        numbers=("population", "x"),
    ),
    "dates": Table(
        "d,e,f,y",
        lambda i: (
            f"{day(i, '{y}-{m:02}-{d:02}')},{day(i, '{d}.{m}.{y}')},"
            f'"{["Jan", "Feb", "April", "May"][i % 4]} {i % 28 + 1}, 2021",'
            f"{i % 2}"
        ),
        numbers=(
            *DATE,
            *(name.replace("d ", "e ", 1) for name in DATE),
            *("f month", "f day", "f weekday"),
        ),
        values={
            "d year": lambda i: 2020 + i % 3,
            "e month": lambda i: i % 12 + 1,
            "e day": lambda i: i % 28 + 1,
            "f month": lambda i: (1, 2, 4, 5)[i % 4],
        },
        notes=(
            "dates: 'd' (as year, month, day, weekday), 'e' (day-first, as "
            "year, month, day, weekday), 'f' (as month, day, weekday)",
        ),
    ),
    "dates with the month first": Table(
        "d,y",
        lambda i: f"{day(i, '{m}/{d}/{y}')},{i % 2}",
        numbers=DATE,
        values={"d day": lambda i: i % 28 + 1},
        notes=("dates: 'd' (month-first, as",),
    ),
    "dates that can be read both ways": Table(
        "d,y",
        lambda i: f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021,{i % 2}",
        numbers=("d month", "d day", "d weekday"),
        values={"d month": lambda i: i % 12 + 1},
        notes=("ways: 'd' (month-first; --date-order day-first overrides it)",),
    ),
    "the same by option": Table(
        "d,y",
        lambda i: f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021,{i % 2}",
        numbers=("d month", "d day", "d weekday"),
        values={"d day": lambda i: i % 12 + 1},
        options=Options(date_order="day-first"),
    ),
    "the same beside dates without doubt": Table(
        "d,e,y",
        lambda i: (
            f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021,"
            f"{day(i, '{d:02}/{m:02}/{y}')},{i % 2}"
        ),
        numbers=(
            *("d month", "d day", "d weekday"),
            *(name.replace("d ", "e ", 1) for name in DATE),
        ),
        values={"d day": lambda i: i % 12 + 1},
    ),
    "dates of a table with semicolons": Table(
        "d;y",
        lambda i: f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021;{german(i / 8)}",
        kind="regression",
        numbers=("d month", "d day", "d weekday"),
        values={"d day": lambda i: i % 12 + 1},
        notes=("ways: 'd' (day-first; --date-order month-first overrides it)",),
    ),
    "times of one zone": Table(
        "d,y",
        lambda i: f"{day(i, '{y}-{m:02}-{d:02}T{h:02}:30:00+02:00')},{i % 2}",
        numbers=(*DATE, "d hour"),
        values={"d hour": lambda i: i % 24 + 0.5},
    ),
    "times of two zones": Table(
        "d,y",
        lambda i: (
            f"{day(i, '{y}-{m:02}-{d:02} {h:02}:30:00')}+0{i % 2 + 1}:00,"
            f"{i % 2}"
        ),
        numbers=(*DATE, "d hour"),
        values={"d hour": lambda i: (i % 24 - i % 2 - 1) % 24 + 0.5},
        notes=("dates: 'd' (in UTC, as",),
    ),
    "times of day, seconds since 1970, days as numbers": Table(
        "at,timestamp,day,y",
        lambda i: (
            f"{i % 12 + 1}:15 {'AP'[i % 2]}M,{i * 86_400 * 32 + 1.6e9:.0f},"
            f"{day(i, '{y}{m:02}{d:02}')},{i % 2}"
        ),
        numbers=(
            "at hour",
            *(name.replace("d ", "timestamp ", 1) for name in DATE),
            *(name.replace("d ", "day ", 1) for name in DATE),
        ),
        values={
            "at hour": lambda i: (i % 12 + 1) % 12 + i % 2 * 12 + 0.25,
            "day month": lambda i: i % 12 + 1,
        },
    ),
    "months": Table(
        "d,y",
        lambda i: f"{['Jan', 'Feb', 'Mar'][i % 3]}-{15 + i % 4},{i % 2}",
        numbers=("d year", "d month"),
        values={"d year": lambda i: 2015 + i % 4},
    ),
    "markers of missing values": Table(
        "a,b,c,d,e,y",
        lambda i: (
            f"{'?' if i % 9 == 0 else mixed(i)},"
            f"{'-' if i % 8 == 0 else mixed(i) / 4},"
            f"{'n/a' if i % 7 == 0 else day(i, '{y}-{m}-{d}')},"
            f"{'' if i % 6 == 0 else 'uv'[i % 2]},"
            f"{['?', 'ok', 'bad'][i % 3]},{i % 2}"
        ),
        numbers=("a", "b", *(name.replace("d ", "c ", 1) for name in DATE)),
        categories={"d": ["", "u", "v"], "e": ["", "bad", "ok"]},
        values={"a": lambda i: None if i % 9 == 0 else mixed(i)},
        notes=("missing values: 'a' ('?'), 'b' ('-'), 'c' ('n/a'), 'e' ('?')",),
    ),
    "whole numbers with missing ones": Table(
        "age,y",
        lambda i: f"{'' if i % 5 == 0 else mixed(i)},{['', 1, 2, 3][i % 4]}",
        rows=120,
        kind="classification",
        numbers=("age",),
        classes=[1, 2, 3],
        values={"age": lambda i: None if i % 5 == 0 else mixed(i)},
        notes=("left out: 30 rows without 'y'",),
    ),
    "cells that are no numbers": Table(
        "a,b,dep,holiday,y",
        lambda i: (
            f"{'abc' if i == 7 else mixed(i)},"
            f"{'closed' if i % 4 == 0 else mixed(i)},"
            f"{['0', '1', '2', '3+'][i % 4]},{'a' if i == 5 else 0},{i % 2}"
        ),
        numbers=("a", "b"),
        categories={"dep": ["0", "1", "2", "3+"], "holiday": ["0", "a"]},
        values={"a": lambda i: None if i == 7 else mixed(i)},
        notes=(
            "missing: 'a' (1 cell without numbers: 'abc'), "
            "'b' (15 cells without numbers: 'closed')",
        ),
    ),
    "yes and no": Table(
        "a,b,c,y",
        lambda i: (
            f"{['Yes', 'yes', 'NO', 'no'][i % 4]},{'TF'[i % 2]},"
            f"{['true', 'false', ''][i % 3]},{['Yes', 'No'][i % 2]}"
        ),
        categories={
            "a": ["no", "yes"],
            "b": ["F", "T"],
            "c": ["", "false", "true"],
        },
        classes=["No", "Yes"],
    ),
    "useless columns": Table(
        "a,b,c,d,mark,y",
        lambda i: f"5,,x,NaN,{'x' * (i % 2)},{i % 2}",
        categories={"mark": ["", "x"]},
        notes=(
            "left out: 'a', the same in all rows (5)",
            "left out: 'b', empty",
            "left out: 'c', the same in all rows ('x')",
            "left out: 'd', empty",
        ),
    ),
    "codes": Table(
        "zip,plz,y",
        lambda i: f"0{1000 + i % 5},{3000 + i % 3},{i % 2}",
        categories={
            "zip": ["01000", "01001", "01002", "01003", "01004"],
            "plz": ["3000", "3001", "3002"],
        },
        notes=("codes, read as categories: 'zip', 'plz'",),
    ),
    "free text": Table(
        "review,again,y",
        lambda i: (
            f'"Bought, used; number {i}",A long remark of number {i // 2},'
            f"{i % 2}"
        ),
        rows=120,
        options=Options(keep=["review"]),
        categories={"review": None},
        notes=(
            "left out: 'again', text with 60 different values (--keep",
            "rare categories count as one: 'review' (26 of 76)",
        ),
    ),
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
    "classes out of balance": Table(
        "x,y",
        lambda i: f"{mixed(i)},{'yes' if i % 10 == 0 else 'no'}",
        numbers=("x",),
        classes=["no", "yes"],
        notes=("out of balance: 90.0% of the rows are 'no'",),
    ),
    "many categories": Table(
        "city,y",
        lambda i: f"City {i * i % 140 if i % 2 else i % 49},{i % 2}",
        rows=400,
        categories={"city": None},
        notes=("rare categories count as one: 'city'",),
    ),
    "a column that is dropped, one of categories": Table(
        "a,b,y",
        lambda i: f"{i % 5},{i % 3},{i % 2}",
        options=Options(drop=["a"], category=["b"]),
        categories={"b": ["0", "1", "2"]},
        notes=("left out: 'a', as --drop says",),
    ),
    "a column of dates by option": Table(
        "t,y",
        lambda i: f"{i * 86_400 * 32 + 1_600_000_000},{i % 2}",
        options=Options(date=["t"]),
        numbers=tuple(name.replace("d ", "t ", 1) for name in DATE),
        notes=("dates: 't' (as year, month, day, weekday)",),
    ),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_a_person_reads_it(tmp_path, table):
    path = tmp_path / "table.csv"
    path.write_bytes(table.text().encode(table.encoding))
    data = load_table(str(path), table.target, None, 1, table.options)
    told = json.loads(json.dumps(data.preparation))
    assert data.kind == table.kind
    assert tuple(told["numbers"]) == table.numbers
    assert list(told["categories"]) == list(table.categories)
    for name, words in table.categories.items():
        if words is not None:
            assert told["categories"][name] == words
    if table.classes is not None:
        assert told["classes"] == table.classes
    lines = "\n".join(data.notes)
    for note in table.notes:
        assert note in lines
    # The same preparation for new rows, here the same file.
    x = prepare(str(path), told)
    assert x.shape == (table.rows, data.train.x.shape[1])
    parts = (data.train, data.validation, data.test)
    rows = np.concatenate([part.x for part in parts])
    assert np.isfinite(x).all() and np.isfinite(rows).all()
    assert set(map(bytes, rows)) <= set(map(bytes, x))
    check_values(table, data, told, x)


def check_values(table, data, told, x):
    for name, value in table.values.items():
        expected = [value(i) for i in range(table.rows)]
        if name == "y":
            how = told["target"]
            parts = (data.train, data.validation, data.test)
            found = np.sort(np.concatenate([part.y for part in parts]))
            expected = np.sort(expected)
        else:
            how = told["numbers"][name]
            missing = how["missing"]
            expected = [missing if v is None else v for v in expected]
            found = x[:, table.numbers.index(name)]
        found = found * how["deviation"] + how["mean"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
