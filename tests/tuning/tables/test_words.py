"""Words: classes, categories, missing values and free text."""

import pytest

from tests.tuning.tables.reading import Table, check, day, mixed
from tuning.tables.options import Options

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

DATE = ("d: year", "d: month", "d: day", "d: weekday")
TABLES = {
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
    "markers of missing values": Table(
        "a,b,c,d,e,y",
        lambda i: (
            f"{'?' if i % 9 == 0 else mixed(i)},"
            f"{'-' if i % 8 == 0 else mixed(i) / 4},"
            f"{'n/a' if i % 7 == 0 else day(i, '{y}-{m}-{d}')},"
            f"{'' if i % 6 == 0 else 'uv'[i % 2]},"
            f"{['?', 'ok', 'bad'][i % 3]},{i % 2}"
        ),
        numbers=("a", "b", *(name.replace("d:", "c:", 1) for name in DATE)),
        categories={"d": ["", "u", "v"], "e": ["", "bad", "ok"]},
        values={"a": lambda i: None if i % 9 == 0 else mixed(i)},
        notes=("missing values: 'a' ('?'), 'b' ('-'), 'c' ('n/a'), 'e' ('?')",),
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
    "words that differ in case": Table(
        "plan,answer,gap,y",
        lambda i: (
            f"{['Pro', 'Basic', 'basic'][i % 3]},{['Yes', 'yes', 'no'][i % 3]},"
            f"{['N/A', 'n/a', 'u', 'v'][i % 4]},{i % 2}"
        ),
        categories={
            "plan": ["Basic", "Pro", "basic"],
            "answer": ["no", "yes"],
            "gap": ["", "u", "v"],
        },
        notes=("differ only in upper case: 'plan' ('Basic', 'basic')\n",),
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
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_a_person_reads_it(tmp_path, table):
    check(table, tmp_path / "table.csv")
