"""Categorical focal crossentropy of one-hot labels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses._config import dtype_config
from keras_ext.losses._crossentropy import (
    check_axis,
    check_gamma,
    check_label_smoothing,
    focus,
    in_float32,
    smooth,
    warn_of_one_class,
)
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Categorical focal crossentropy per sample, the sum over the classes.

    Formula for K classes, with `p = y_pred / sum(y_pred)`, or
    `p = softmax(y_pred)` for logits:

    ```
    loss = -sum(alpha * (1 - p)**gamma * y * log(p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / K
    ```

    Args:
        y_true: One-hot labels or probabilities,
            `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are divided by their sum. `p` is clipped to
            [epsilon, 1 - epsilon] with `epsilon = keras.config.epsilon()`.
        alpha: Weight of all classes, or a sequence of one weight per class.
            Defaults to `0.25`.
        gamma: Focusing parameter, >= 0: the higher, the less the easy samples
            count; 0 is categorical crossentropy times `alpha`.
            Defaults to `2.0`.
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the classes. Defaults to `-1`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Raises:
        ValueError: If the shapes differ, `axis` is a boolean, or
            `label_smoothing` or `gamma` is out of range.

    Example:
    >>> from keras_ext.losses import categorical_focal_crossentropy
    >>> y_pred = [[0.9, 0.1], [0.1, 0.9]]
    >>> loss = categorical_focal_crossentropy([[1, 0], [1, 0]], y_pred)
    >>> print([round(float(value), 4) for value in loss])
    [0.0003, 0.4663]

    Reference:

    - [Lin et al., 2018](https://arxiv.org/abs/1708.02002)

    It computes what `keras.losses.categorical_focal_crossentropy` computes.
    With an `axis` other than the last, that function smooths by the length
    of the last axis and spreads a sequence `alpha` along it; here both go by
    the classes. 16-bit predictions are computed in float32.
    """
    check_axis(axis)
    check_gamma(gamma)
    check_label_smoothing(label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    warn_of_one_class("categorical_focal_crossentropy", y_pred, axis)
    p = in_float32(y_pred)
    y = smooth(ops.cast(y_true, p.dtype), label_smoothing, axis)
    if from_logits:
        p = ops.softmax(p, axis=axis)
    else:
        p = p / ops.sum(p, axis=axis, keepdims=True)
    epsilon = keras.config.epsilon()
    p = ops.clip(p, epsilon, 1 - epsilon)
    loss = y * ops.log(p)
    if gamma:
        loss = focus(1 - p, gamma) * loss
    a: Any = alpha
    if np.ndim(a) == 0:
        loss = -a * ops.sum(loss, axis=axis)
    else:
        axes_behind = len(p.shape[axis:]) - 1
        a = ops.convert_to_tensor(a, dtype=p.dtype)
        a = ops.reshape(a, (-1,) + (1,) * axes_behind)
        loss = -ops.sum(loss * a, axis=axis)
    return ops.cast(loss, y_pred.dtype)


@registered
class CategoricalFocalCrossentropy(keras.losses.CategoricalFocalCrossentropy):
    """Categorical focal crossentropy: hard samples count more than easy ones.

    Formula for K classes, with `p = y_pred / sum(y_pred)`, or
    `p = softmax(y_pred)` for logits:

    ```
    loss = -sum(alpha * (1 - p)**gamma * y * log(p))
    y    = (1 - label_smoothing) * y_true + label_smoothing / K
    ```

    summed over the classes, then reduced over the samples.

    Args:
        alpha: Weight of all classes, or a sequence of one weight per class.
            Defaults to `0.25`.
        gamma: Focusing parameter, >= 0: the higher, the less the easy samples
            count; 0 is categorical crossentropy times `alpha`.
            Defaults to `2.0`.
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the classes. Defaults to `-1`.
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"categorical_focal_crossentropy"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: One-hot labels or probabilities,
            `(batch_size, ..., num_classes)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are divided by their sum. `p` is clipped to
            [epsilon, 1 - epsilon] with `epsilon = keras.config.epsilon()`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `axis` is a boolean, `label_smoothing` or `gamma` is
            out of range, `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import CategoricalFocalCrossentropy
    >>> loss = CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0)
    >>> print(round(float(loss([[1, 0]], [[0.1, 0.9]])), 4))
    1.8651

    Reference:

    - [Lin et al., 2018](https://arxiv.org/abs/1708.02002)

    It computes what `keras.losses.CategoricalFocalCrossentropy` computes.
    With an `axis` other than the last, that class smooths by the length of
    the last axis and spreads a sequence `alpha` along it; here both go by the
    classes. A 16-bit dtype is computed in float32, and `dtype` is saved with
    the config, where that class leaves it out.
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ):
        check_axis(axis)
        check_gamma(gamma)
        check_label_smoothing(label_smoothing)
        super().__init__(
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return categorical_focal_crossentropy(
            y_true,
            y_pred,
            alpha=self.alpha,
            gamma=self.gamma,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
            axis=self.axis,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update(
            {
                "alpha": np.asarray(self.alpha).tolist(),
                "gamma": self.gamma,
                "from_logits": self.from_logits,
                "label_smoothing": self.label_smoothing,
                "axis": self.axis,
                "dtype": dtype_config(self._config_dtype),
            }
        )
        return config
