"""Turns a table's values into a network's inputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .notes import Notes
from .selection import MOST_CATEGORIES


def fit(inputs: Mapping[str, Any], rows: Any, notes: Notes) -> dict[str, Any]:
    """Return the preparation of the inputs, as JSON.

    Args:
        inputs: The values of each input, a `pandas.Series` of numbers or texts.
        rows: Numbers of the rows that define medians, means and categories.
        notes: Gets notes about rare categories.
    """
    from pandas.api.types import is_numeric_dtype

    preparation: dict[str, Any] = {"numbers": {}, "categories": {}}
    for name, values in inputs.items():
        seen = values.iloc[rows]
        if is_numeric_dtype(values):
            median = seen.median() if seen.notna().any() else 0.0
            filled = seen.fillna(median)
            # Rounding may give equal numbers a tiny deviation.
            differs = filled.nunique() > 1
            preparation["numbers"][name] = {
                "missing": float(median),
                "mean": float(filled.mean()),
                "deviation": float(filled.std(ddof=0)) if differs else 1.0,
            }
            continue
        counts = seen.value_counts()
        # Words of equal frequency are in alphabetical order.
        words = sorted(counts.index, key=lambda word: (-counts[word], word))
        if (rare := len(words) - MOST_CATEGORIES) > 0:
            notes.add("rare", name, f"{rare} of {len(words):,}")
        preparation["categories"][name] = sorted(words[:MOST_CATEGORIES])
    return preparation


def transform(
    inputs: Mapping[str, Any], preparation: Mapping[str, Any]
) -> np.ndarray:
    """Return inputs of shape `(rows, features)`.

    A category that `fit` has not listed is 0 in all columns of its input.

    Args:
        inputs: The values of each input.
        preparation: What `fit` returned.
    """
    import pandas

    features = []
    for name, how in preparation["numbers"].items():
        values = inputs[name].fillna(how["missing"])
        scaled = (values - how["mean"]) / how["deviation"]
        features.append(scaled.to_numpy("float32")[:, None])
    for name, words in preparation["categories"].items():
        numbers = pandas.Index(words).get_indexer(inputs[name])
        features.append(np.float32(numbers[:, None] == np.arange(len(words))))
    return np.concatenate(features, axis=1)
