"""Metrics that Keras lacks."""

from typing import Any

import keras
from keras import ops

from keras_ext import _builtins, _checks, _registration

Tensor = Any


@_registration.registered
class BalancedAccuracy(keras.metrics.Metric):
    """Balanced accuracy: the mean of the classes' recalls.

    Formula, over the samples since the last reset:

    ```
    recall[c] = correct samples of class c / samples of class c
    balanced_accuracy = mean(recall[c] for the classes c with samples)
    ```

    A model that always predicts the same class has the value
    `1 / num_classes`, however common the class is.

    Args:
        num_classes: Number of classes, >= 2.
        threshold: With one output for two classes, the smallest prediction
            of class 1 is above it.

    Call arguments:
        y_true: Labels: one-hot, `(batch_size, num_classes)`, or numbers of
            classes, `(batch_size,)` or `(batch_size, 1)`.
        y_pred: Predictions, `(batch_size, num_classes)`; for two classes also
            `(batch_size, 1)`.
        sample_weight: Weights, `(batch_size,)` or `(batch_size, 1)`, or
            `None`.

    Raises:
        ValueError: If `num_classes` is not an integer >= 2.

    Example:
    >>> from keras_ext.metrics import BalancedAccuracy
    >>> metric = BalancedAccuracy(num_classes=2)
    >>> metric.update_state([0, 0, 0, 1], [[0.1], [0.2], [0.3], [0.4]])
    >>> print(round(float(metric.result()), 4))
    0.5

    Keras has no such metric. It is scikit-learn's `balanced_accuracy_score`.
    """

    def __init__(
        self,
        num_classes: int,
        threshold: float = 0.5,
        name: str = "balanced_accuracy",
        dtype: Any = None,
    ):
        _checks.require(
            isinstance(num_classes, int) and num_classes >= 2,
            "be an integer >= 2",
            num_classes=num_classes,
        )
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.threshold = threshold
        self.hits = self._counts("hits")
        self.samples = self._counts("samples")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> None:
        """Count the samples and the correct ones of each class."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.convert_to_tensor(y_true)
        if y_pred.shape[-1] == 1:
            predicted = ops.reshape(y_pred, (-1,)) > self.threshold
            predicted = ops.cast(predicted, "int32")
        else:
            predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        if len(y_true.shape) == 2 and y_true.shape[-1] == self.num_classes:
            y_true = ops.argmax(y_true, axis=-1)
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        weights = ops.one_hot(labels, self.num_classes, dtype=self.dtype)
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
            sample_weight = ops.cast(sample_weight, self.dtype)
            weights = weights * ops.reshape(sample_weight, (-1, 1))
        is_hit = ops.cast(predicted == labels, self.dtype)
        self.hits.assign_add(ops.sum(weights * is_hit[:, None], axis=0))
        self.samples.assign_add(ops.sum(weights, axis=0))

    def result(self) -> Tensor:
        """Return the balanced accuracy so far; 0 without samples."""
        recalls = ops.divide_no_nan(self.hits, self.samples)
        seen = ops.sum(ops.cast(self.samples > 0, self.dtype))
        return ops.divide_no_nan(ops.sum(recalls), seen)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "threshold": self.threshold,
        }

    def _counts(self, name: str) -> Any:
        return self.add_variable(
            shape=(self.num_classes,), initializer="zeros", name=name
        )


__getattr__ = _builtins.fall_back(__name__)
