import keras
import numpy as np
import pytest

from keras_ext import callbacks

SGD = keras.optimizers.SGD


def fitted(optimizer, gradients=(1.0, 2.0, 3.0, 4.0)):
    """Fit a model with two weights that receive known gradients.

    The gradient of `a` is that of the list, one value per step, and that of
    `b` is twice as large.
    """
    a, b = (
        keras.layers.Dense(1, use_bias=False, name=name) for name in ("a", "b")
    )
    inputs = keras.Input((2,))
    model = keras.Model(
        inputs, a(inputs[:, :1]) + b(inputs[:, 1:]), name="known"
    )
    model.compile(optimizer, lambda y, p: p)
    logger = callbacks.GradientNormLogger(every_n_steps=1)
    x = np.outer(gradients, [1.0, 2.0])
    history = model.fit(
        x,
        np.zeros(len(x)),
        batch_size=1,
        shuffle=False,
        callbacks=[logger],
        verbose=0,
    )
    return logger, history.history


@pytest.mark.parametrize(
    "options, expected",
    [
        # Norms of `b` are 2, 4, 6, 8.
        ({"clipnorm": 5.0}, [0, 0, 1, 1]),
        # Norms of both are 2.2, 4.5, 6.7, 8.9.
        ({"global_clipnorm": 4.2}, [0, 1, 1, 1]),
        ({"global_clipnorm": 100.0}, [0, 0, 0, 0]),
        ({"global_clipnorm": 4.2, "loss_scale_factor": 64.0}, [0, 1, 1, 1]),
        # The largest entry is that of `b`, whose gradient has one.
        ({"clipvalue": 4.5}, [0, 0, 1, 1]),
        ({"clipvalue": 4.5, "loss_scale_factor": 64.0}, [0, 0, 1, 1]),
    ],
)
def test_clipped_steps_are_counted(options, expected):
    logger, history = fitted(SGD(0.0, **options))
    assert logger.steps["clipped_fraction"].tolist() == expected
    assert history["clipped_fraction"] == [np.mean(expected)]
    np.testing.assert_allclose(logger.steps["grad_norm/b"], [2, 4, 6, 8])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clipvalue": 1.0, "gradient_accumulation_steps": 2},
        {"clipnorm": 1.0, "gradient_accumulation_steps": 2},
    ],
)
def test_what_is_not_known_is_not_reported(options):
    logger, history = fitted(SGD(0.0, **options))
    assert "clipped_fraction" not in logger.steps
    assert "clipped_fraction" not in history
    np.testing.assert_allclose(logger.steps["grad_norm/b"], [2, 4, 6, 8])


def test_the_inner_optimizer_clips_what_loss_scaling_takes():
    optimizer = keras.optimizers.LossScaleOptimizer(SGD(0.0, clipnorm=5.0))
    logger, history = fitted(optimizer, (1.0, np.inf, 3.0, np.nan))
    assert logger.steps["skipped_steps"].tolist() == [0, 1, 0, 1]
    # Skipped steps clip nothing, and are not averaged in.
    assert history["skipped_steps"] == [2.0]
    assert history["clipped_fraction"] == [0.5]
    np.testing.assert_allclose(history["grad_norm/a"], [2.0], rtol=1e-6)


def test_several_optimizers_clip_on_their_own():
    from keras_ext.callbacks import clipping

    first, second = SGD(clipnorm=1.0), SGD(global_clipnorm=3.0)
    norms = np.array([[0.5, 2.0, 2.0], [2.0, 0.0, 0.0], [0.5, 4.0, 0.0]])
    none = np.zeros((3, 0))
    found = clipping.clipped(norms, [first, second, second], none)
    assert found.tolist() == [False, True, True]
    third = SGD(clipvalue=1.5)
    found = clipping.clipped(norms, [first, third, third], norms)
    assert found.tolist() == [True, True, True]
    found = clipping.clipped(norms, [first, second, third], norms)
    assert found.tolist() == [True, True, True]
    assert clipping.clipped(norms, [None, SGD(), None], none) is None
    assert clipping.skipped(norms, [first, second, None]) is None
