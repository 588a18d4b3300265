"""Models of KerasHub for sound, for images and text, and diffusion."""

from typing import Any

import keras
import numpy as np

from benchmarks.zoo import data, hub
from benchmarks.zoo.registry import Case, Make


def whisper() -> Case:
    """Return Whisper's backbone; its head predicts the next token."""
    backbone = hub.models().WhisperBackbone(
        **hub.HEADS,
        num_mels=8,
        max_encoder_sequence_length=48,
        max_decoder_sequence_length=hub.LENGTH,
    )
    hidden = backbone.output["decoder_sequence_output"]
    outputs = keras.layers.Dense(hub.VOCABULARY, name="head")(hidden)
    model = keras.Model(backbone.input, outputs)
    x, y = data.sequences(hub.LENGTH, hub.VOCABULARY)
    sound, _ = data.series(48, 8)
    inputs = {
        "encoder_features": sound,
        "decoder_token_ids": x,
        "decoder_padding_mask": np.ones_like(x),
    }
    hub.compiled(model, keras.optimizers.Adam(5e-3))
    return Case(model, inputs, y)


@keras.saving.register_keras_serializable("zoo")
class ContrastiveLoss(keras.losses.Loss):
    """CLIP's loss: each image belongs to the text of the same row."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the crossentropy of each row."""
        which = keras.ops.arange(keras.ops.shape(y_pred)[0])
        return keras.losses.sparse_categorical_crossentropy(
            which, y_pred, from_logits=True
        )


def clip() -> Case:
    """Return CLIP on images and tokens."""
    models = hub.models()
    backbone = models.CLIPBackbone(
        models.CLIPVisionEncoder(
            patch_size=8,
            hidden_dim=16,
            num_layers=2,
            num_heads=2,
            intermediate_dim=32,
            image_shape=(hub.SIZE, hub.SIZE, 3),
        ),
        models.CLIPTextEncoder(
            vocabulary_size=hub.VOCABULARY,
            embedding_dim=16,
            hidden_dim=16,
            num_layers=2,
            num_heads=2,
            intermediate_dim=32,
            max_sequence_length=hub.LENGTH,
        ),
        projection_dim=8,
    )
    model = keras.Model(backbone.input, backbone.output["vision_logits"])
    model.compile(keras.optimizers.Adam(2e-3), ContrastiveLoss())
    images, y = data.images(hub.SIZE, 8)
    tokens, _ = data.tokens(hub.LENGTH, hub.VOCABULARY)
    order = np.argsort(y, kind="stable").reshape(8, 8).T.reshape(-1)
    inputs = {"images": images[order], "token_ids": tokens}
    return Case(model, inputs, np.zeros((64, 8), "float32"))


def vae() -> Any:
    """Return the autoencoder of Stable Diffusion 3."""
    from keras_hub.src.models.vae.vae_backbone import VAEBackbone

    return VAEBackbone(
        encoder_num_filters=[32, 32, 32, 32],
        encoder_num_blocks=[1, 1, 1, 1],
        decoder_num_filters=[32, 32, 32, 32],
        decoder_num_blocks=[1, 1, 1, 1],
        sampler_method="mode",
        sample_channels=4,
    )


def autoencoder() -> Case:
    """Return the autoencoder of Stable Diffusion 3, which learns images."""
    model = vae()
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    x = 2 * data.pictures(32, 8, 3) - 1
    return Case(model, x, x, batch_size=2, epochs=3)


def stable_diffusion_3() -> Case:
    """Return Stable Diffusion 3, whose transformer learns the noise."""
    models = hub.models()

    def text_encoder(name: str) -> Any:
        return models.CLIPTextEncoder(
            vocabulary_size=hub.VOCABULARY,
            embedding_dim=32,
            hidden_dim=32,
            num_layers=1,
            num_heads=2,
            intermediate_dim=32,
            intermediate_output_index=0,
            max_sequence_length=hub.LENGTH,
            name=name,
        )

    backbone = models.StableDiffusion3Backbone(
        mmdit_patch_size=2,
        mmdit_hidden_dim=16,
        mmdit_num_layers=2,
        mmdit_num_heads=2,
        mmdit_position_size=8,
        mmdit_qk_norm=None,
        mmdit_dual_attention_indices=None,
        vae=vae(),
        clip_l=text_encoder("clip_l"),
        clip_g=text_encoder("clip_g"),
        latent_channels=4,
        image_shape=(64, 64, 3),
    )
    network = backbone.diffuser
    rows = {}
    rng = np.random.default_rng(0)
    for name, tensor in network.input.items():
        shape = (16, *tensor.shape[1:])
        if None in shape:
            shape = tuple(hub.LENGTH if n is None else n for n in shape)
        rows[name] = rng.normal(size=shape).astype("float32")
    model = keras.Model(network.input, network.output)
    model.compile(keras.optimizers.AdamW(2e-3), "mse")
    return Case(model, rows, 0.1 * rows["latent"], batch_size=4, epochs=3)


MODELS: dict[str, Make] = {
    "Whisper": whisper,
    "CLIP": clip,
    "VAE of Stable Diffusion 3": autoencoder,
    "Stable Diffusion 3": stable_diffusion_3,
}
