"""Numbers as people write them."""

import pytest

from tests.tuning.tables.reading import Table, check, german, mixed, swiss
from tuning.tables.options import Options

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

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
    "points and commas that are decimals": Table(
        "a;y",
        lambda i: f"{mixed(i)}{',.'[i % 2]}5;{i % 2}",
        numbers=("a",),
        values={"a": lambda i: mixed(i) + 0.5},
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
    "codes": Table(
        "zip,plz,y",
        lambda i: f"0{1000 + i % 5},{3000 + i % 3},{i % 2}",
        categories={
            "zip": ["01000", "01001", "01002", "01003", "01004"],
            "plz": ["3000", "3001", "3002"],
        },
        notes=("codes, read as categories: 'zip', 'plz'",),
    ),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_a_person_reads_it(tmp_path, table):
    check(table, tmp_path / "table.csv")
