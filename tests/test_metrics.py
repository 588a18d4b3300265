import keras
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from keras_ext.metrics import BalancedAccuracy


def value(metric):
    return float(keras.ops.convert_to_numpy(metric.result()))


@pytest.mark.filterwarnings("ignore:y_pred contains classes:UserWarning")
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("form", ["one-hot", "numbers", "column"])
def test_as_scikit_learn(rng, classes, form):
    # The last class is rare, or not there at all.
    y = rng.integers(0, classes - 1, 60)
    y[:2] = classes - 1 if form == "one-hot" else 0
    scores = rng.normal(size=(60, classes)).astype("float32")
    weights = rng.uniform(0.5, 2.0, 60).astype("float32")
    labels = {
        "one-hot": keras.utils.to_categorical(y, classes),
        "numbers": y,
        "column": y[:, None],
    }[form]
    metric, weighted = BalancedAccuracy(classes), BalancedAccuracy(classes)
    for part in np.split(np.arange(60), [1, 20]):
        metric.update_state(labels[part], scores[part])
        weighted.update_state(labels[part], scores[part], weights[part])
    expected = balanced_accuracy_score(y, scores.argmax(-1))
    heavier = balanced_accuracy_score(
        y, scores.argmax(-1), sample_weight=weights
    )
    assert value(metric) == pytest.approx(expected, rel=1e-5)
    assert value(weighted) == pytest.approx(heavier, rel=1e-5)
    metric.reset_state()
    assert value(metric) == 0.0


def test_one_output_for_two_classes():
    y, p = np.array([0, 0, 0, 1]), np.array([0.1, 0.6, 0.5, 0.7])
    metric = BalancedAccuracy(2)
    metric.update_state(y[:, None], p[:, None])
    assert value(metric) == pytest.approx((2 / 3 + 1) / 2)
    strict = BalancedAccuracy(2, threshold=0.8)
    strict.update_state(y[:, None], p[:, None])
    assert value(strict) == pytest.approx(0.5)


@pytest.mark.parametrize("classes", [2, 3])
def test_in_fit_and_from_a_file(rng, tmp_path, classes):
    units = 1 if classes == 2 else classes
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
    x, y = rng.normal(size=(40, 4)), np.arange(40) % 5 // 2 % classes
    targets = y[:, None]
    if classes > 2:
        targets = keras.utils.to_categorical(y, classes)
    model.compile("sgd", "mse", metrics=[BalancedAccuracy(classes)])
    model.fit(x, targets, batch_size=16, verbose=0)
    logs = model.evaluate(x, targets, verbose=0, return_dict=True)
    outputs = model.predict(x, verbose=0)
    guessed = outputs.argmax(-1) if classes > 2 else outputs[:, 0] > 0.5
    expected = balanced_accuracy_score(y, guessed)
    assert logs["balanced_accuracy"] == pytest.approx(expected, rel=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.evaluate(
        x, targets, verbose=0, return_dict=True
    ) == pytest.approx(logs, rel=1e-5)


def test_configuration():
    metric = BalancedAccuracy(3, threshold=0.3, name="b", dtype="float64")
    again = BalancedAccuracy.from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    assert (again.num_classes, again.threshold, again.name) == (3, 0.3, "b")


@pytest.mark.parametrize("number", [1, 2.0, None])
def test_bad_numbers_of_classes(number):
    with pytest.raises(ValueError, match="`num_classes` must be an integer"):
        BalancedAccuracy(number)
