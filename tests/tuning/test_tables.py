import numpy as np
import pandas as pd
import pytest

from keras_ext.cli.usage import UsageError
from tuning.tables import load_table, prepare
from tuning.tables.options import Options

# No backend takes part: once is enough.
pytestmark = pytest.mark.backend("torch")


def houses(n=100):
    rng = np.random.default_rng(0)
    area = rng.normal(90.0, 30.0, n)
    return pd.DataFrame(
        {
            "area": area,
            "rooms": np.arange(n) % 4 + 1,
            "city": np.array(["Bern", "Genf", "Basel"])[np.arange(n) % 3],
            "garden": np.arange(n) % 5 < 2,
            "price": 3000 * area + 1000 * (np.arange(n) % 3),
        }
    )


@pytest.fixture
def load(tmp_path):
    def write(table, target, task=None, seed=1, options=None, **how):
        path = tmp_path / "table.csv"
        if isinstance(table, pd.DataFrame):
            table.to_csv(path, index=False, **how)
        else:
            path.write_bytes(table)
        return load_table(str(path), target, task, seed, options)

    return write


def test_numbers_are_standardized_by_the_training_rows(load):
    data = load(houses(), "price")
    assert data.kind == "regression"
    assert [len(p.y) for p in (data.train, data.validation, data.test)] == [
        64,
        16,
        20,
    ]
    # Two numbers, three cities, garden or not.
    assert data.train.x.shape == (64, 7)
    numbers = data.train.x[:, :2]
    np.testing.assert_allclose(numbers.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(axis=0), 1.0, rtol=1e-5)
    assert np.abs(data.test.x[:, :2].mean(axis=0)).max() > 1e-3
    np.testing.assert_allclose(data.train.y.mean(), 0.0, atol=1e-6)
    np.testing.assert_allclose(data.train.y.std(), 1.0, rtol=1e-5)
    assert np.unique(data.train.x[:, 2:]).tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(data.train.x[:, 2:5].sum(axis=1), 1.0)


def test_the_preparation_repeats_what_was_done(load):
    table = houses()
    data = load(table, "price")
    preparation = data.preparation
    # The rows are found again by the target.
    target = preparation["target"]
    prices = data.test.y * target["deviation"] + target["mean"]
    for row, price in zip(data.test.x, prices, strict=True):
        house = table.iloc[(table["price"] - price).abs().argmin()]
        numbers = [
            (house[name] - how["mean"]) / how["deviation"]
            for name, how in preparation["numbers"].items()
        ]
        ones = [
            float(str(house[name]) == value)
            for name, values in preparation["categories"].items()
            for value in values
        ]
        np.testing.assert_allclose(row, numbers + ones, atol=1e-4)
    assert data.unit == target["deviation"]


def test_what_is_missing(load):
    table = houses()
    table.loc[::7, "area"] = np.nan
    table.loc[::11, "city"] = None
    table.loc[[3, 4], "price"] = np.nan
    table["nothing"] = np.nan
    table["name"] = [f"house {i}" for i in range(len(table))]
    data = load(table, "price")
    assert np.isfinite(data.train.x).all() and np.isfinite(data.test.x).all()
    assert data.train.x.shape[1] == 8
    notes = "\n".join(data.notes)
    assert "left out: 2 rows without 'price'" in notes
    assert "left out: 'nothing', empty" in notes
    assert "left out: 'name', text with 98 different values" in notes
    assert "" in data.preparation["categories"]["city"]


def test_infinite_numbers_are_missing_ones(load):
    table = houses()
    table.loc[5, "area"] = np.inf
    data = load(table, "price")
    for part in (data.train, data.validation, data.test):
        assert np.isfinite(part.x).all()


def test_categories_that_training_has_not_seen(load):
    table = houses()
    table["city"] = table["city"].astype(object)
    table.loc[0, "city"] = "Chur"
    found = [
        part.x.sum()
        for seed in range(8)
        for part in (load(table, "price", seed=seed).test,)
    ]
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("target", "task", "kind", "classes"),
    [
        ("city", None, "classification", 3),
        ("garden", None, "binary", 2),
        ("rooms", None, "classification", 4),
        ("rooms", "regression", "regression", 1),
        ("price", None, "regression", 1),
    ],
)
def test_the_task(load, target, task, kind, classes):
    data = load(houses(), target, task)
    assert (data.kind, data.classes) == (kind, classes)
    assert repr(target) in data.notes[0]
    assert ("--task" in data.notes[0]) == (task is None)
    if kind != "regression":
        for part in (data.train, data.validation, data.test):
            assert sorted(set(part.y)) == list(range(classes))
        assert len(data.preparation["classes"]) == classes


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(load, separator):
    same = load(houses(), "price")
    data = load(houses(), "price", sep=separator, encoding="utf-8-sig")
    np.testing.assert_allclose(data.train.x, same.train.x)


def column(**columns):
    return houses().assign(**columns)


BAD = {
    "unknown target": (houses(), "prize", None, "did you mean 'price'"),
    "no similar target": (houses(), "xyz", None, "'area', 'rooms', 'city'"),
    "one value": (column(a=1), "a", None, "nothing to learn"),
    "one class": (column(a="x"), "a", None, "nothing to learn"),
    "too few rows": (houses(19), "price", None, "at least 20"),
    "empty target": (column(a=np.nan), "a", None, "the table has 0"),
    "text everywhere": (
        pd.DataFrame(
            {"a": [f"a{i}" for i in range(40)], "y": np.arange(40) % 2}
        ),
        "y",
        None,
        "'a', text with 40 different values",
    ),
    "no other column": (
        pd.DataFrame({"y": np.arange(40) % 2}),
        "y",
        None,
        "it has no other",
    ),
    "names as target": (
        column(a=[f"a{i}" for i in range(100)]),
        "a",
        None,
        "has 1 rows",
    ),
    "a rare class": (
        column(a=["x"] * 96 + ["y"] * 4),
        "a",
        None,
        "class y of 'a' has 4 rows",
    ),
    "regression of text": (houses(), "city", "regression", "no numbers"),
    "too many classes": (
        column(a=[f"a{i}" for i in range(20)] * 5),
        "a",
        None,
        "too few for 20 classes",
    ),
    "no file of text": (b"\xff\xfe\x00\x01", "a", None, "cannot be read"),
    "an image": (
        b"\x89PNG\r\n\x1a\n\x00a,b\n",
        "a",
        None,
        "it is not a text file",
    ),
    "an empty file": (b"", "a", None, "cannot be read"),
    "names alone": (b"a,b\n", "a", None, "the table has 0"),
    "ragged": (b"a,b\n1,2\n1,2,3,4\n", "a", None, "cannot be read"),
    "ragged at once": (b"a,b\n1,2,3,4\n" * 9, "a", None, "cannot be read"),
    "a quote without end": (b'a,b\n1,"2\n3,4\n', "a", None, "cannot be read"),
    "twice": (b"a, a\n1,2\n", "a", None, "two columns 'a'"),
    "dates": (
        column(a=pd.date_range("2024-01-01", periods=100).astype(str)),
        "a",
        None,
        "'a' has dates ('2024-01-01')",
    ),
    "no names": (
        b"5.1,3.5,setosa\n" * 9 + b"4.9,3.0,virginica\n" * 9,
        "species",
        None,
        "the columns are 'column 1', 'column 2', 'column 3'",
    ),
    "a rare number": (
        column(a=[1] * 96 + [2] * 4),
        "a",
        None,
        "class 2 of 'a' has 4 rows; at least 5 are needed: use --task reg",
    ),
}


@pytest.mark.parametrize(
    ("table", "target", "task", "message"), BAD.values(), ids=BAD
)
def test_tables_of_which_nothing_can_be_learnt(
    load, table, target, task, message
):
    with pytest.raises(UsageError) as error:
        load(table, target, task)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


BAD_OPTIONS = {
    "dropped": ({"drop": ["rom"]}, "argument --drop: there is no column 'rom'"),
    "kept": ({"keep": ["x"]}, "argument --keep: there is no column 'x'"),
    "category": ({"category": ["x"]}, "argument --category: there is no"),
    "date": ({"date": ["x"]}, "argument --date: there is no column 'x'"),
    "the target": ({"drop": ["price"]}, "--drop: 'price' is the target"),
    "kept and dropped": (
        {"keep": ["city"], "drop": ["city"]},
        "argument --keep: 'city' is in --drop, too",
    ),
    "no dates": ({"date": ["city"]}, "argument --date: 'city' has 'Bern'"),
    "nothing": ({"keep": ["nothing"]}, "argument --keep: 'nothing' is empty"),
}


@pytest.mark.parametrize(
    ("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS
)
def test_options_that_do_not_fit_the_table(load, options, message):
    table = column(nothing=np.nan)
    with pytest.raises(UsageError) as error:
        load(table, "price", options=Options(**options))
    assert message in str(error.value)


def test_new_rows_are_read_as_the_search_read_its_own(load, tmp_path):
    lines = [
        f"{i};{1 + i / 8};1.{100 + i};{i % 12 + 1}/5/2021;{'ab?'[i % 3]};{i}"
        for i in range(60)
    ]
    text = "id;x;big;day;word;y\n" + "\n".join(lines).replace(".", ",")
    data = load(text.encode(), "y", options=Options(decimal=","))
    # Without what shows the convention, without the target, in another order.
    path = tmp_path / "new.csv"
    path.write_text("word;day;big;x\nb;13/5/2021;1,500;2\n?;n/a;-;2,5\nc;;;\n")
    with pytest.warns(UserWarning, match=r"do not know: 'word' \('c'\)"):
        x = prepare(str(path), data.preparation)
    preparation = data.preparation["numbers"]
    assert list(preparation) == ["x", "big", "day: day", "day: weekday"]
    values = x[:, :4] * [how["deviation"] for how in preparation.values()]
    values += [how["mean"] for how in preparation.values()]
    missing = [how["missing"] for how in preparation.values()]
    thursday = 3
    expected = [[2, 1.5, 13, thursday], [2.5, *missing[1:]], missing]
    np.testing.assert_allclose(values, expected, atol=1e-4)
    assert data.preparation["categories"] == {"word": ["", "a", "b"]}
    assert x[:, 4:].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    path.write_text("x;word\n1;a\n")
    with pytest.raises(UsageError, match="no column 'big'"):
        prepare(str(path), data.preparation)


def test_new_rows_warn_of_values_that_the_models_do_not_know(load, tmp_path):
    data = load(houses(), "price")
    path = tmp_path / "new.csv"
    known = "area,rooms,city,garden\n90,2,Bern,True\n-,?,,False\n"
    path.write_text(known)
    expected = prepare(str(path), data.preparation)
    path.write_text(known + "90,two,Biel,True\n")
    with pytest.warns(UserWarning) as caught:
        x = prepare(str(path), data.preparation)
    message = str(caught[0].message)
    assert message.startswith(repr(str(path)))
    assert (
        "taken as missing: 'rooms' (1 cell without numbers: 'two')" in message
    )
    assert "that the models do not know: 'city' ('Biel')" in message
    np.testing.assert_array_equal(x[:2], expected)
    median = data.preparation["numbers"]["rooms"]
    assert x[2, 1] == pytest.approx(
        (median["missing"] - median["mean"]) / median["deviation"], abs=1e-6
    )
    assert not x[2, 2:5].any()


def test_one_new_row_of_a_table_without_names(load, tmp_path):
    rows = "".join(f"{i % 9}.5,{i % 5},{'ab'[i % 2]}\n" for i in range(60))
    data = load(rows.encode(), "column 3")
    path = tmp_path / "new.csv"
    path.write_text("1.5,3\n")
    x = prepare(str(path), data.preparation)
    numbers = data.preparation["numbers"]
    expected = [
        (value - how["mean"]) / how["deviation"]
        for value, how in zip((1.5, 3), numbers.values(), strict=True)
    ]
    np.testing.assert_allclose(x, [expected], rtol=1e-5)
