"""Reinforcement learning: deep Q-learning and actor-critic."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.zoo.registry import Case, Make
from benchmarks.zoo.steps import OwnStep

Tensor = Any
register = keras.saving.register_keras_serializable("zoo")


def _corridor(rng: Any, count: int) -> tuple[Any, ...]:
    """Return states, actions, rewards and next states of a corridor."""
    place = rng.integers(0, 6, count)
    action = rng.integers(0, 2, count)
    after = np.clip(place + 2 * action - 1, 0, 5)
    rows = np.eye(6, dtype="float32")
    return rows[place], action, (after == 5).astype("float32"), rows[after]


def deep_q() -> Case:
    """Return deep Q-learning by `train_on_batch`, with a target network."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(24, activation="relu"),
            layers.Dense(24, activation="relu"),
            layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), keras.losses.Huber())
    states = np.eye(6, dtype="float32")
    return Case(model, states, np.ones((6, 2), "float32"), train=_q_learning)


def _q_learning(case: Case, callbacks: list[Any], steps: int | None) -> Any:
    model = case.model
    target = keras.models.clone_model(model)
    target.set_weights(model.get_weights())
    rng = np.random.default_rng(1)
    hooks = keras.callbacks.CallbackList(callbacks, model=model)
    hooks.on_train_begin()
    losses = []
    for epoch in range(2 if steps is None else 1):
        hooks.on_epoch_begin(epoch)
        for step in range(12 if steps is None else steps):
            before, action, reward, after = _corridor(rng, 16)
            best = target.predict_on_batch(after).max(axis=1)
            goal = np.array(model.predict_on_batch(before))
            goal[np.arange(16), action] = reward + 0.9 * best
            hooks.on_train_batch_begin(step)
            loss = model.train_on_batch(before, goal)
            hooks.on_train_batch_end(step, {"loss": loss})
            losses.append(float(loss))
            if step % 6 == 5:
                target.set_weights(model.get_weights())
        hooks.on_epoch_end(epoch, {"loss": losses[-1]})
    hooks.on_train_end()
    return {"loss": losses}


@register
class ActorCritic(OwnStep):
    """Actor and critic on one trunk; `fit` never sees it."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.trunk = layers.Dense(24, activation="relu")
        self.actor = layers.Dense(2, activation="softmax")
        self.critic = layers.Dense(1)

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chance of each action, and the value."""
        h = self.trunk(x)
        return self.actor(h), self.critic(h)


def actor_critic() -> Case:
    """Return actor-critic in a loop by hand, without `fit`."""
    model = ActorCritic()
    states = np.eye(6, dtype="float32")
    model(states)
    model.compile(keras.optimizers.Adam(1e-2))
    model.optimizer.build(model.trainable_variables)
    return Case(
        model,
        states,
        train=_play,
        unmonitored="A loop by hand: no `fit`, so no callbacks.",
    )


def _play(case: Case, callbacks: list[Any], steps: int | None) -> Any:
    model, rng = case.model, np.random.default_rng(1)
    losses = []
    for _ in range(24 if steps is None else steps):
        before, action, reward, after = map(
            ops.convert_to_tensor, _corridor(rng, 16)
        )
        _, value = model(after)
        goal = ops.stop_gradient(reward + 0.9 * value[:, 0])

        def loss(
            before: Any = before, action: Any = action, goal: Any = goal
        ) -> Tensor:
            chances, value = model(before)
            chosen = ops.sum(chances * ops.one_hot(action, 2), axis=-1)
            gain = goal - value[:, 0]
            acting = -ops.log(chosen + 1e-7) * ops.stop_gradient(gain)
            return ops.mean(acting + gain**2)

        losses.append(float(model.minimize(loss, model.trainable_variables)))
    return {"loss": losses}


MODELS: dict[str, Make] = {
    "Deep Q-learning": deep_q,
    "Actor-critic": actor_critic,
}
