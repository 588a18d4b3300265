"""Binary focal crossentropy."""

from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered
from keras_ext.losses import _backend
from keras_ext.losses._config import dtype_config
from keras_ext.losses._crossentropy import (
    check_gamma,
    check_label_smoothing,
    clippable,
    focus,
    in_float32,
    smooth,
)
from keras_ext.losses._shapes import as_pair

Tensor = Any


@registered
def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary focal crossentropy per sample, the mean over an axis.

    Formula, with `p = y_pred`, or `p = sigmoid(y_pred)` for logits:

    ```
    loss = mean(a * (1 - p_t)**gamma * bce)
    bce  = -(y * log(p) + (1 - y) * log(1 - p))
    p_t  = y * p + (1 - y) * (1 - p)
    a    = y * alpha + (1 - y) * (1 - alpha)    with class balancing, else 1
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    For a label of 0 or 1, `p_t` is the probability of the right class and
    the loss is `-a * (1 - p_t)**gamma * log(p_t)`.

    Args:
        y_true: Labels in [0, 1], `(batch_size, ..., output_dim)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.
        apply_class_balancing: Whether to weigh the two classes.
            Defaults to `False`.
        alpha: Weight of the class 1 with class balancing; the class 0 has
            `1 - alpha`. Defaults to `0.25`.
        gamma: Focusing parameter, >= 0: the higher, the less the easy samples
            count; 0 is binary crossentropy. Defaults to `2.0`.
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the mean. Defaults to `-1`.

    Returns:
        One value per sample, `(batch_size, ...)`, in the dtype of `y_pred`.

    Raises:
        ValueError: If the shapes differ, or `label_smoothing` or `gamma`
            is out of range.

    Example:
    >>> from keras_ext.losses import binary_focal_crossentropy
    >>> loss = binary_focal_crossentropy([[1.0], [1.0]], [[0.9], [0.1]])
    >>> print([round(float(value), 4) for value in loss])
    [0.0011, 1.8651]

    Reference:

    - [Lin et al., 2018](https://arxiv.org/abs/1708.02002)

    It computes what `keras.losses.binary_focal_crossentropy` computes. From
    logits beyond about 16 on the wrong side, that function follows the
    formula on TensorFlow only; on JAX and PyTorch it stops at -log(epsilon),
    without a gradient. Here the three agree. Nor is the gradient NaN at
    probabilities of 0 and 1 for a `gamma` below 1. 16-bit predictions are
    computed in float32.
    """
    check_gamma(gamma)
    check_label_smoothing(label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    if from_logits:
        scores = in_float32(y_pred)
        p = ops.sigmoid(scores)
    else:
        scores = p = clippable(y_pred)
    y = smooth(ops.cast(y_true, p.dtype), label_smoothing, axis=None)
    loss = _backend.binary(y, scores, from_logits)
    if gamma:
        # 1 - p_t, without its cancellation where p_t is almost 1.
        miss = y * (1 - p) + (1 - y) * p
        loss = focus(miss, gamma) * loss
    if apply_class_balancing:
        loss = (y * alpha + (1 - y) * (1 - alpha)) * loss
    return ops.cast(ops.mean(loss, axis=axis), y_pred.dtype)


@registered
class BinaryFocalCrossentropy(keras.losses.BinaryFocalCrossentropy):
    """Binary focal crossentropy: hard samples count more than easy ones.

    Formula, with `p = y_pred`, or `p = sigmoid(y_pred)` for logits:

    ```
    loss = mean(a * (1 - p_t)**gamma * bce)
    bce  = -(y * log(p) + (1 - y) * log(1 - p))
    p_t  = y * p + (1 - y) * (1 - p)
    a    = y * alpha + (1 - y) * (1 - alpha)    with class balancing, else 1
    y    = (1 - label_smoothing) * y_true + label_smoothing / 2
    ```

    For a label of 0 or 1, `p_t` is the probability of the right class and
    the loss is `-a * (1 - p_t)**gamma * log(p_t)`.

    averaged over `axis`, then reduced over the samples.

    Args:
        apply_class_balancing: Whether to weigh the two classes.
            Defaults to `False`.
        alpha: Weight of the class 1 with class balancing; the class 0 has
            `1 - alpha`. Defaults to `0.25`.
        gamma: Focusing parameter, >= 0: the higher, the less the easy samples
            count; 0 is binary crossentropy. Defaults to `2.0`.
        from_logits: Whether `y_pred` are logits. Defaults to `False`.
        label_smoothing: Share of the uniform distribution in the labels, in
            [0, 1]. Defaults to `0.0`.
        axis: Axis of the mean. Defaults to `-1`.
        reduction: `"sum"`, `"sum_over_batch_size"`, `"mean"`,
            `"mean_with_sample_weight"`, `"none"` or `None`.
            Defaults to `"sum_over_batch_size"`.
        name: Name of the loss. Defaults to `"binary_focal_crossentropy"`.
        dtype: Dtype or dtype policy of the computation; `None` means
            `keras.config.floatx()`. Defaults to `None`.

    Call arguments:
        y_true: Labels in [0, 1], `(batch_size, ..., output_dim)`.
        y_pred: Probabilities or logits, of the shape of `y_true`.
            Probabilities are clipped to [epsilon, 1 - epsilon] with
            `epsilon = keras.config.epsilon()`.
        sample_weight: Weights, `(batch_size, ...)`, or `None`.

    Raises:
        ValueError: If `label_smoothing` or `gamma` is out of range,
            `reduction` is unknown, or the shapes differ.

    Example:
    >>> from keras_ext.losses import BinaryFocalCrossentropy
    >>> loss = BinaryFocalCrossentropy(gamma=2.0)
    >>> print(round(float(loss([[1.0], [1.0]], [[0.9], [0.1]])), 4))
    0.9331

    Reference:

    - [Lin et al., 2018](https://arxiv.org/abs/1708.02002)

    It computes what `keras.losses.BinaryFocalCrossentropy` computes. From
    logits beyond about 16 on the wrong side, that class follows the formula
    on TensorFlow only; on JAX and PyTorch it stops at -log(epsilon), without
    a gradient. Here the three agree. Nor is the gradient NaN at probabilities
    of 0 and 1 for a `gamma` below 1. A 16-bit dtype is computed in float32,
    and `dtype` is saved with the config, where that class leaves it out.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ):
        check_gamma(gamma)
        check_label_smoothing(label_smoothing)
        super().__init__(
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self._config_dtype = dtype

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns one value per sample."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return binary_focal_crossentropy(
            y_true,
            y_pred,
            apply_class_balancing=self.apply_class_balancing,
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
                "apply_class_balancing": self.apply_class_balancing,
                "alpha": self.alpha,
                "gamma": self.gamma,
                "from_logits": self.from_logits,
                "label_smoothing": self.label_smoothing,
                "axis": self.axis,
                "dtype": dtype_config(self._config_dtype),
            }
        )
        return config
