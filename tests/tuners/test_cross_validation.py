"""Trials that are scored by their folds."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_ext.tuners import MedianPruner
from keras_ext.tuners.cross_validation import Folds
from tests.tuners import scripted, searching
from tests.tuners.scripted import endings, scores

# What is tested here does not depend on the backend: once is enough.
pytestmark = pytest.mark.backend("torch")

ROWS = 12
X = np.arange(2.0 * ROWS).reshape(ROWS, 2)
CLASSES = np.array([0, 1] * (ROWS // 2))


def folds(cross_validation, x=X, y=CLASSES, groups=None, **more):
    return Folds(cross_validation, (x, y), more, groups)


def rows(chosen, fold, *arrays, **more):
    """Return a fold's training and validation rows, by their index."""
    made = chosen.arguments(fold, arrays, more)
    return made["x"][:, 0] / 2, made["validation_data"][0][:, 0] / 2


@pytest.mark.parametrize(
    ("y", "splitter"),
    [
        (CLASSES, "StratifiedKFold"),
        (CLASSES[:, None], "StratifiedKFold"),
        (CLASSES.astype(bool), "StratifiedKFold"),
        (CLASSES.astype("float32"), "StratifiedKFold"),
        (np.array(list("ab") * 6), "StratifiedKFold"),
        (np.eye(2)[CLASSES], "StratifiedKFold"),
        (np.linspace(0, 1, ROWS), "KFold"),
        # Classes with too few rows: most likely numbers.
        (np.arange(ROWS), "KFold"),
        (np.zeros(ROWS), "KFold"),
        (X, "KFold"),
        ({"a": CLASSES, "b": CLASSES}, "KFold"),
        (np.where(CLASSES, np.nan, 1.0), "KFold"),
    ],
)
def test_how_a_number_of_folds_splits(y, splitter):
    chosen = folds(3, y=y)
    assert repr(chosen).startswith(f"{splitter}(n_splits=3")
    assert len(chosen) == 3


def test_rows_are_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(4, shuffle=True, random_state=5)
    chosen = folds(splitter)
    expected = list(splitter.split(X, CLASSES))
    for fold, (train, validation) in enumerate(expected):
        found = rows(chosen, fold, X, CLASSES)
        np.testing.assert_array_equal(found[0], train)
        np.testing.assert_array_equal(found[1], validation)


def test_groups_stay_together():
    from sklearn.model_selection import GroupKFold

    groups = np.repeat(np.arange(4), 3)
    chosen = folds(GroupKFold(4), groups=groups)
    for fold in range(4):
        train, validation = rows(chosen, fold, X, CLASSES)
        assert not set(groups[train.astype(int)]) & set(
            groups[validation.astype(int)]
        )
    with pytest.raises(ValueError, match="groups"):
        folds(GroupKFold(4))


def test_time_series_are_validated_on_what_follows():
    from sklearn.model_selection import TimeSeriesSplit

    chosen = folds(TimeSeriesSplit(3))
    for fold in range(3):
        train, validation = rows(chosen, fold, X, CLASSES)
        assert train.max() < validation.min()


def test_given_rows():
    chosen = folds([([0, 1, 2], [3]), ([4, 5], [6, 7])])
    assert repr(chosen) == "2 given folds"
    train, validation = rows(chosen, 1, X, CLASSES)
    assert (list(train), list(validation)) == ([4, 5], [6, 7])


def _frame():
    return pytest.importorskip("pandas").DataFrame(X, columns=["a", "b"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: X,
        lambda: keras.ops.convert_to_tensor(X),
        _frame,
        lambda: {"left": X, "right": [X, X]},
        lambda: pytest.importorskip("scipy.sparse").coo_array(X),
        lambda: pytest.importorskip("torch").tensor(X),
    ],
    ids=["numpy", "tensor", "pandas", "structure", "sparse", "torch"],
)
def test_kinds_of_data(make):
    x = make()
    chosen = folds([([0, 2], [1, 3])], x=x)
    made = chosen.arguments(0, (x, CLASSES), {"epochs": 2})
    train = keras.tree.flatten(made["x"])
    validation = keras.tree.flatten(made["validation_data"][0])
    assert len(train) == len(keras.tree.flatten(x))
    for leaf in train:
        dense = leaf.toarray() if hasattr(leaf, "toarray") else leaf
        np.testing.assert_allclose(np.asarray(dense), X[[0, 2]])
    for leaf in validation:
        dense = leaf.toarray() if hasattr(leaf, "toarray") else leaf
        np.testing.assert_allclose(np.asarray(dense), X[[1, 3]])
    np.testing.assert_array_equal(made["validation_data"][1], CLASSES[[1, 3]])
    assert made["epochs"] == 2


def test_weights_are_split_too():
    weights = np.arange(ROWS)
    chosen = folds([([0, 2], [1])], sample_weight=weights)
    made = chosen.arguments(0, (X, CLASSES), {"sample_weight": weights})
    assert list(made["sample_weight"]) == [0, 2]
    assert [len(part) for part in made["validation_data"]] == [1, 1, 1]
    assert list(made["validation_data"][2]) == [1]


def test_no_targets():
    chosen = Folds(3, (X,), {})
    made = chosen.arguments(0, (X,), {})
    assert len(made["x"]) == 8
    assert len(made["validation_data"]) == 1
    assert "y" not in made


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, CLASSES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": (batch for batch in [X])}, "`x` must be an array"),
        ({"x": Batches()}, "`x` must be an array"),
        ({"y": CLASSES[:-1]}, "same number of rows"),
        ({"x": None}, "must get the data as `x`"),
        ({"validation_split": 0.2}, "`validation_split` cannot be used"),
        ({"validation_data": (X, CLASSES)}, "`validation_data` cannot be"),
    ],
)
def test_data_that_cannot_be_split(options, message):
    with pytest.raises(ValueError, match=message):
        folds(3, **options)


@pytest.mark.parametrize("bad", [1, True, "five", 2.5])
def test_bad_numbers_of_folds(bad, tmp_path, tracking_uri):
    with pytest.raises(ValueError, match="`cross_validation` must be"):
        scripted.tuner(tmp_path, tracking_uri, "a", cross_validation=bad)


@pytest.fixture
def make(tmp_path, tracking_uri):
    def make(kinds="a", cross_validation=3, **options):
        return scripted.tuner(
            tmp_path,
            tracking_uri,
            kinds,
            cross_validation=cross_validation,
            **options,
        )

    return make


def test_a_trial_is_scored_by_its_folds(make):
    tuner = make()
    script = [[0.2, 0.4, 0.3], [0.5, 0.6, 0.6], [0.9, 0.8, 0.1]]
    seen = scripted.search(tuner, {"a": script}, epochs=3)
    assert seen.times == {"a": 2}
    assert scores(tuner) == [
        ("COMPLETED", pytest.approx(np.mean([0.4, 0.6, 0.9]), abs=1e-6), 0)
    ]
    run = searching.children(tuner)[0]
    assert run.data.metrics["score"] == pytest.approx(np.mean([0.4, 0.6, 0.9]))
    assert run.data.metrics["score_std"] == pytest.approx(
        np.std([0.4, 0.6, 0.9])
    )
    points = tuner.client.get_metric_history(run.info.run_id, "points")
    means = [point.value for point in sorted(points, key=lambda p: p.step)]
    assert means == pytest.approx(np.mean(script, axis=0))
    below = searching.children(tuner, run.info.run_id)
    assert sorted(child.info.run_name for child in below) == [
        "fold 0",
        "fold 1",
        "fold 2",
    ]
    assert {child.info.status for child in below} == {"FINISHED"}
    params = searching.parent(tuner).data.params
    assert params["cross_validation"].startswith("StratifiedKFold(n_splits=3")


def test_executions_of_each_fold(make):
    tuner = make(executions_per_trial=2, cross_validation=2)
    script = [[0.1], [0.3], [0.5], [0.9]]
    scripted.search(tuner, {"a": script}, epochs=1)
    run = searching.children(tuner)[0]
    assert scores(tuner)[0][1] == pytest.approx(0.45)
    # Of the means of the two folds.
    assert run.data.metrics["score_std"] == pytest.approx(np.std([0.2, 0.7]))
    below = searching.children(tuner, run.info.run_id)
    assert sorted(child.info.run_name for child in below) == [
        "fold 0 execution 0",
        "fold 0 execution 1",
        "fold 1 execution 0",
        "fold 1 execution 1",
    ]
    assert tuner.executions_per_trial == 2


def test_a_hopeless_first_fold_ends_the_trial(make):
    tuner = make("ab", pruner=MedianPruner(1, 1))
    script = {"a": [[0.5] * 3] * 3, "b": [[0.1] * 3, [0.9] * 3, [0.9] * 3]}
    seen = scripted.search(tuner, script, epochs=3)
    assert seen.times == {"a": 2, "b": 0}
    reason = "pruned: behind the median at epoch 1 (0.1 < 0.5)"
    assert endings(tuner) == [("FINISHED", None), ("KILLED", reason)]
    assert scores(tuner)[1] == ("COMPLETED", 0.1, 0)
    run = searching.children(tuner)[1]
    assert endings(tuner, run.info.run_id) == [("KILLED", None)]


class Spy(keras_tuner.HyperModel):
    """Notes what `fit` is given, and scores a fold by its first row."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def build(self, hp):
        return scripted.build(hp)

    def fit(self, hp, model, x, y, validation_data, **kwargs):
        self.seen.append((model, x, validation_data))
        return {"points": float(validation_data[0][0, 0])}


def test_each_fold_has_rows_and_a_model_of_its_own(make):
    spy = Spy()
    tuner = make(hypermodel=spy, log_models=None)
    x, y = searching.images()
    tuner.search(x, y, groups=None, verbose=0)
    models, trained, held_out = zip(*spy.seen, strict=True)
    assert len({id(model) for model in models}) == 3
    together = np.concatenate([data[0] for data in held_out])
    assert sorted(together[:, 0]) == sorted(x[:, 0])
    assert [len(part) for part in trained] == [64, 64, 64]
    firsts = [data[0][0, 0] for data in held_out]
    assert scores(tuner)[0][1] == pytest.approx(np.mean(firsts), abs=1e-5)


def test_the_best_model_is_that_of_the_best_fold(make):
    objective = keras_tuner.Objective("val_loss", "min")
    tuner = make(oracle=scripted.InOrder(["a"], objective))
    x, y = searching.images()
    tuner.search(x, y, epochs=2, batch_size=24, verbose=0)
    run = searching.children(tuner)[0]
    losses = {}
    for child in searching.children(tuner, run.info.run_id):
        points = tuner.client.get_metric_history(child.info.run_id, "val_loss")
        fold = int(child.info.run_name.removeprefix("fold "))
        losses[fold] = min(point.value for point in points)
    best = min(losses, key=losses.__getitem__)
    split = folds(3, x, y).arguments(best, (x, y), {})
    model = tuner.get_best_models(1)[0]
    loss = model.evaluate(*split["validation_data"], verbose=0)
    assert loss == pytest.approx(losses[best], rel=1e-4)
    assert "best_model" in searching.parent(tuner).data.tags
