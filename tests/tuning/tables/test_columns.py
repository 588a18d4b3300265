"""Columns that are left out, kept, or dropped."""

import pytest

from tests.tuning.tables.reading import Table, check, mixed
from tuning.tables.options import Options

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")

TABLES = {
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
            "left out: 'uuid', an id with 120 different values",
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
    "a column that is dropped, one of categories": Table(
        "a,b,y",
        lambda i: f"{i % 5},{i % 3},{i % 2}",
        options=Options(drop=["a"], category=["b"]),
        categories={"b": ["0", "1", "2"]},
        notes=("left out: 'a', by --drop",),
    ),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_a_person_reads_it(tmp_path, table):
    check(table, tmp_path / "table.csv")
