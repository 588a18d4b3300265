"""Dropout."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ext._registration import registered

Tensor = Any


@registered
class Dropout(keras.layers.Dropout):
    """Dropout: in training each input is 0 with probability `rate`.

    Formula, with `m = 1` with probability `1 - rate`, else 0, drawn anew for
    each input at each step:

    ```
    training:   y = m * x / (1 - rate)
    inference:  y = x
    ```

    and with `inverted=False` the classic form, which scales at inference:

    ```
    training:   y = m * x
    inference:  y = (1 - rate) * x
    ```

    Args:
        rate: Probability with which an input is dropped, in [0, 1]. With a
            rate of 1 nothing is left.
        noise_shape: Shape of `m`, in which a 1 stands for an axis along which
            inputs are dropped together and `None` for the length of the
            input; `None` is the shape of the input. Defaults to `None`.
        seed: Seed of the draw, an integer. Defaults to `None`.
        inverted: Whether to scale in training, and not at inference.
            Defaults to `True`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and
            `dtype`.

    Call arguments:
        inputs: Tensor of any rank.
        training: Whether to drop.

    Input shape:
        Any: `(batch_size, ...)`. Masks are passed on.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `rate` is outside [0, 1], `inverted` is no boolean, or
            `keras.layers.Dropout` refuses an argument.

    Example:
    >>> import keras
    >>> from keras_ext.layers import Dropout
    >>> x = keras.ops.ones((2, 3))
    >>> y = keras.ops.convert_to_numpy(Dropout(0.5)(x, training=True))
    >>> set(y.ravel().tolist()) <= {0.0, 2.0}
    True
    >>> y = Dropout(0.25, inverted=False)(x, training=False)
    >>> print(keras.ops.convert_to_numpy(y))
    [[0.75 0.75 0.75]
     [0.75 0.75 0.75]]

    Reference:

    - [Srivastava et al.,
      2014](https://jmlr.org/papers/v15/srivastava14a.html)

    The paper has the classic form; the default is that of
    `keras.layers.Dropout`, which the same seed makes drop the same inputs.
    A `.keras` file also holds how far the draw has come, and a loaded model
    goes on from there; the built-in starts from the seed again.
    One lecture prints `rate` for the factor at inference, where it is
    `1 - rate`.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        inverted: bool = True,
        **kwargs: Any,
    ):
        if not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(f"`rate` must be in [0, 1]. Received: rate={rate}")
        if not isinstance(inverted, bool):
            raise ValueError(
                f"`inverted` must be a boolean. Received: inverted={inverted}"
            )
        if noise_shape is not None and not (
            isinstance(noise_shape, tuple | list)
            and all(
                n is None or (isinstance(n, int) and n > 0) for n in noise_shape
            )
        ):
            raise ValueError(
                "`noise_shape` must be a tuple of positive integers and "
                f"`None`. Received: noise_shape={noise_shape}"
            )
        super().__init__(
            rate=rate, noise_shape=noise_shape, seed=seed, **kwargs
        )
        self.inverted = inverted

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drops inputs in training."""
        if self.rate == 0:
            return inputs
        if not training:
            return inputs if self.inverted else (1 - self.rate) * inputs
        if self.inverted:
            return self._drop(inputs)
        # What is left of ones tells who is kept; dividing the result by its
        # scale would not give back each input to the last bit.
        kept = self._drop(ops.ones_like(inputs)) > 0
        return ops.where(kept, inputs, ops.zeros_like(inputs))

    def _drop(self, x: Tensor) -> Tensor:
        if self.rate == 1:  # which not every version of Keras can draw
            return ops.zeros_like(x)
        return keras.random.dropout(
            x, self.rate, self.noise_shape, self.seed_generator
        )

    # Not as a variable: the built-in could not load the weights any more.
    def save_assets(self, dir_path: str) -> None:
        """Saves the state of the draw in a `.keras` file."""
        if self.rate > 0:
            state = ops.convert_to_numpy(self.seed_generator.state).tolist()
            pathlib.Path(dir_path, "seed.json").write_text(json.dumps(state))

    def load_assets(self, dir_path: str | None) -> None:
        """Goes on with the draw where the saved model was."""
        path = pathlib.Path(dir_path or "", "seed.json")
        if self.rate > 0 and dir_path and path.exists():
            self.seed_generator.state.assign(json.loads(path.read_text()))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.update({"inverted": self.inverted})
        return config
