"""A GAN with a custom `train_step` and two optimizers, on each backend."""

import keras
from keras import ops

LAYERS = keras.layers
BACKEND = keras.config.backend()


def crossentropy(real, score):
    labels = ops.ones_like(score) if real else ops.zeros_like(score)
    return ops.mean(
        keras.losses.binary_crossentropy(labels, score, from_logits=True)
    )


class GAN(keras.Model):
    """Its data are pairs of real samples and noise."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential(
            [
                keras.Input((2,)),
                LAYERS.Dense(8, activation="relu", name="hidden"),
                LAYERS.Dense(4, name="out"),
            ],
            name="generator",
        )
        self.critic = keras.Sequential(
            [
                keras.Input((4,)),
                LAYERS.Dense(8, activation="relu", name="hidden"),
                LAYERS.Dense(1, name="out"),
            ],
            name="critic",
        )
        self.built = True

    def call(self, noise):
        return self.generator(noise)

    def compile(self, optimizer, generator_optimizer):
        super().compile(optimizer)
        self.generator_optimizer = generator_optimizer
        self.optimizer.build(self.critic.trainable_variables)
        generator_optimizer.build(self.generator.trainable_variables)

    if BACKEND == "tensorflow":

        def train_step(self, data):
            import tensorflow as tf

            real, noise = data[0]
            weights = self.critic.trainable_weights
            with tf.GradientTape() as tape:
                fake = self.generator(noise)
                loss = crossentropy(True, self.critic(real))
                loss += crossentropy(False, self.critic(fake))
            self.optimizer.apply(tape.gradient(loss, weights), weights)

            weights = self.generator.trainable_weights
            with tf.GradientTape() as tape:
                fooled = crossentropy(True, self.critic(self.generator(noise)))
            gradients = tape.gradient(fooled, weights)
            self.generator_optimizer.apply(gradients, weights)
            return {"loss": loss, "generator_loss": fooled}

    elif BACKEND == "torch":

        def train_step(self, data):
            import torch

            real, noise = data[0]
            self.zero_grad()
            fake = self.generator(noise).detach()
            loss = crossentropy(True, self.critic(real))
            loss = loss + crossentropy(False, self.critic(fake))
            loss.backward()
            weights = self.critic.trainable_weights
            with torch.no_grad():
                self.optimizer.apply([w.value.grad for w in weights], weights)

            self.zero_grad()
            fooled = crossentropy(True, self.critic(self.generator(noise)))
            fooled.backward()
            weights = self.generator.trainable_weights
            with torch.no_grad():
                self.generator_optimizer.apply(
                    [w.value.grad for w in weights], weights
                )
            return {"loss": loss, "generator_loss": fooled}

    else:

        def train_step(self, state, data):
            import jax

            real, noise = data[0]
            trainable, fixed, optimizer_state, metrics = state
            n = len(self.generator.trainable_variables)
            generator, critic = trainable[:n], trainable[n:]

            def score(critic, x):
                return self.critic.stateless_call(critic, [], x)[0]

            def generate(generator):
                return self.generator.stateless_call(generator, [], noise)[0]

            def critics_loss(critic):
                fake = generate(generator)
                loss = crossentropy(True, score(critic, real))
                return loss + crossentropy(False, score(critic, fake))

            loss, grads = jax.value_and_grad(critics_loss)(critic)
            critic, optimizer_state = self.optimizer.stateless_apply(
                optimizer_state, grads, critic
            )

            def generators_loss(generator):
                return crossentropy(True, score(critic, generate(generator)))

            fooled, grads = jax.value_and_grad(generators_loss)(generator)
            # Plain gradient descent has no state that matters here.
            constant = [v.value for v in self.generator_optimizer.variables]
            generator, _ = self.generator_optimizer.stateless_apply(
                constant, grads, generator
            )
            logs = {"loss": loss, "generator_loss": fooled}
            trainable = [*generator, *critic]
            return logs, (trainable, fixed, optimizer_state, metrics)


def losses(gan, real, noise):
    """Returns the critic's and the generator's loss, of the model itself."""
    fake = gan.generator(noise)
    return (
        crossentropy(True, gan.critic(real))
        + crossentropy(False, gan.critic(fake)),
        crossentropy(True, gan.critic(fake)),
    )
