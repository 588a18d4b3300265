"""Dropout."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ext._checks import require
from keras_ext._config import SavesArguments
from keras_ext._registration import registered

Tensor = Any


@registered
class Dropout(SavesArguments, keras.layers.Dropout):
    """Dropout: in training each input is 0 with probability `rate`.

    Formula, where `m` is 1 with probability `1 - rate` and else 0, drawn for
    each input at each step:

    ```
    training:   y = m * x / (1 - rate)
    inference:  y = x
    ```

    `inverted=False` is the classic form, which scales at inference:

    ```
    training:   y = m * x
    inference:  y = (1 - rate) * x
    ```

    Args:
        rate: Drop rate: the probability with which an input is dropped, in
            [0, 1]. A drop rate of 1 drops all inputs.
        noise_shape: Shape of `m`; `None` is the shape of the input. Along an
            axis of size 1 inputs are dropped together. A size of `None` is
            the size of the input.
        seed: Seed of the draw, an integer.
        inverted: Whether to scale in training, and not at inference.

    Call arguments:
        inputs: Tensor of any rank.
        training: Whether to drop.

    Raises:
        ValueError: If `rate` is outside [0, 1], `inverted` is not a boolean,
            or `keras.layers.Dropout` refuses an argument.

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

    Reference: [Srivastava et al.,
      2014](https://jmlr.org/papers/v15/srivastava14a.html)

    The paper has the classic form. The default is the form of
    `keras.layers.Dropout`; the same seed drops the same inputs. A `.keras`
    file also holds the state of the random generator, so that a loaded model
    continues the draw; the built-in starts from the seed again. One lecture
    prints `rate` for the factor at inference; the correct factor is
    `1 - rate`.
    """

    SAVED = ("inverted",)

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        inverted: bool = True,
        **kwargs: Any,
    ):
        holds = isinstance(rate, int | float) and 0 <= rate <= 1
        require(holds, "be in [0, 1]", rate=rate)
        is_boolean = isinstance(inverted, bool)
        require(is_boolean, "be a boolean", inverted=inverted)
        holds = noise_shape is None or (
            isinstance(noise_shape, tuple | list)
            and all(
                n is None or (isinstance(n, int) and n > 0) for n in noise_shape
            )
        )
        must = "be a tuple of positive integers and `None`"
        require(holds, must, noise_shape=noise_shape)
        super().__init__(
            rate=rate, noise_shape=noise_shape, seed=seed, **kwargs
        )
        self.inverted = inverted

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Drop inputs in training."""
        if self.rate == 0:
            return inputs
        if not training:
            return inputs if self.inverted else (1 - self.rate) * inputs
        if self.inverted:
            return self._drop(inputs)
        # Dropping ones shows which inputs are kept. Dividing scaled inputs by
        # the scale would not return each input exactly.
        kept = self._drop(ops.ones_like(inputs)) > 0
        return ops.where(kept, inputs, ops.zeros_like(inputs))

    def _drop(self, x: Tensor) -> Tensor:
        if self.rate == 1:  # Some versions of Keras cannot draw this.
            return ops.zeros_like(x)
        return keras.random.dropout(
            x, self.rate, self.noise_shape, self.seed_generator
        )

    # With a variable, the built-in could not load the weights.
    def save_assets(self, dir_path: str) -> None:
        """Save the state of the random generator in a `.keras` file."""
        if self.rate > 0:
            state = ops.convert_to_numpy(self.seed_generator.state).tolist()
            pathlib.Path(dir_path, "seed.json").write_text(json.dumps(state))

    def load_assets(self, dir_path: str | None) -> None:
        """Continue the draw where the saved model was."""
        path = pathlib.Path(dir_path or "", "seed.json")
        if self.rate > 0 and dir_path and path.exists():
            self.seed_generator.state.assign(json.loads(path.read_text()))
