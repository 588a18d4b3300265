"""Dates and times."""

import pytest

from tests.tuning.tables.reading import Table, check, day, german
from tuning.tables.options import Options

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

DATE = ("d: year", "d: month", "d: day", "d: weekday")
TABLES = {
    "dates": Table(
        "d,e,f,y",
        lambda i: (
            f"{day(i, '{y}-{m:02}-{d:02}')},{day(i, '{d}.{m}.{y}')},"
            f'"{["Jan", "Feb", "April", "May"][i % 4]} {i % 28 + 1}, 2021",'
            f"{i % 2}"
        ),
        numbers=(
            *DATE,
            *(name.replace("d:", "e:", 1) for name in DATE),
            *("f: month", "f: day", "f: weekday"),
        ),
        values={
            "d: year": lambda i: 2020 + i % 3,
            "e: month": lambda i: i % 12 + 1,
            "e: day": lambda i: i % 28 + 1,
            "f: month": lambda i: (1, 2, 4, 5)[i % 4],
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
        values={"d: day": lambda i: i % 28 + 1},
        notes=("dates: 'd' (month-first, as",),
    ),
    "dates that can be read both ways": Table(
        "d,y",
        lambda i: f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021,{i % 2}",
        numbers=("d: month", "d: day", "d: weekday"),
        values={"d: month": lambda i: i % 12 + 1},
        notes=("ways: 'd' (month-first; --date-order day-first overrides it)",),
    ),
    "the same by option": Table(
        "d,y",
        lambda i: f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021,{i % 2}",
        numbers=("d: month", "d: day", "d: weekday"),
        values={"d: day": lambda i: i % 12 + 1},
        options=Options(date_order="day-first"),
    ),
    "the same beside dates without doubt": Table(
        "d,e,y",
        lambda i: (
            f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021,"
            f"{day(i, '{d:02}/{m:02}/{y}')},{i % 2}"
        ),
        numbers=(
            *("d: month", "d: day", "d: weekday"),
            *(name.replace("d:", "e:", 1) for name in DATE),
        ),
        values={"d: day": lambda i: i % 12 + 1},
    ),
    "dates of a table with semicolons": Table(
        "d;y",
        lambda i: f"{i % 12 + 1:02}/{i % 7 + 1:02}/2021;{german(i / 8)}",
        kind="regression",
        numbers=("d: month", "d: day", "d: weekday"),
        values={"d: day": lambda i: i % 12 + 1},
        notes=("ways: 'd' (day-first; --date-order month-first overrides it)",),
    ),
    "times of one zone": Table(
        "d,y",
        lambda i: f"{day(i, '{y}-{m:02}-{d:02}T{h:02}:30:00+02:00')},{i % 2}",
        numbers=(*DATE, "d: hour"),
        values={"d: hour": lambda i: i % 24 + 0.5},
    ),
    "times of two zones": Table(
        "d,y",
        lambda i: (
            f"{day(i, '{y}-{m:02}-{d:02} {h:02}:30:00')}+0{i % 2 + 1}:00,"
            f"{i % 2}"
        ),
        numbers=(*DATE, "d: hour"),
        values={"d: hour": lambda i: (i % 24 - i % 2 - 1) % 24 + 0.5},
        notes=("dates: 'd' (in UTC, as",),
    ),
    "times of day, seconds since 1970, days as numbers": Table(
        "at,timestamp,day,y",
        lambda i: (
            f"{i % 12 + 1}:15 {'AP'[i % 2]}M,{i * 86_400 * 32 + 1.6e9:.0f},"
            f"{day(i, '{y}{m:02}{d:02}')},{i % 2}"
        ),
        numbers=(
            "at: hour",
            *(name.replace("d:", "timestamp:", 1) for name in DATE),
            *(name.replace("d:", "day:", 1) for name in DATE),
        ),
        values={
            "at: hour": lambda i: (i % 12 + 1) % 12 + i % 2 * 12 + 0.25,
            "day: month": lambda i: i % 12 + 1,
        },
    ),
    "months": Table(
        "d,y",
        lambda i: f"{['Jan', 'Feb', 'Mar'][i % 3]}-{15 + i % 4},{i % 2}",
        numbers=("d: year", "d: month"),
        values={"d: year": lambda i: 2015 + i % 4},
    ),
    "a column of dates by option": Table(
        "t,y",
        lambda i: f"{i * 86_400 * 32 + 1_600_000_000},{i % 2}",
        options=Options(date=["t"]),
        numbers=tuple(name.replace("d:", "t:", 1) for name in DATE),
        notes=("dates: 't' (as year, month, day, weekday)",),
    ),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_a_person_reads_it(tmp_path, table):
    check(table, tmp_path / "table.csv")
