"""Backbones and tasks of KerasHub, small and with random weights."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make

VOCABULARY, LENGTH, SIZE = 64, 16, 32
# Arguments that most text backbones share.
TEXT = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "hidden_dim": 16,
    "intermediate_dim": 32,
}
HEADS = {"num_heads": 2, **TEXT}
GROUPED = {"num_query_heads": 2, "num_key_value_heads": 1, **TEXT}


def _hub() -> Any:
    import keras_hub

    return keras_hub


def _backbone(name: str, arguments: dict[str, Any]) -> Any:
    return getattr(_hub().models, f"{name}Backbone")(**arguments)


def _token_inputs(backbone: Any, ids: Any) -> dict[str, Any]:
    """Return the inputs of a text backbone that has these ids."""
    inputs = {}
    for name in backbone.input:
        if "token_ids" in name:
            inputs[name] = ids
        elif "mask" in name:
            inputs[name] = np.ones_like(ids)
        else:
            inputs[name] = np.zeros_like(ids)
    return inputs


def _compile(task: Any, optimizer: Any = None, **arguments: Any) -> Any:
    task.compile(
        optimizer=optimizer or keras.optimizers.AdamW(2e-3, weight_decay=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **arguments,
    )
    return task


def text_classifier(name: str, arguments: dict[str, Any]) -> Case:
    """Return a text classifier."""
    backbone = _backbone(name, arguments)
    task = getattr(_hub().models, f"{name}TextClassifier")(
        backbone, num_classes=2, preprocessor=None
    )
    x, y = data.tokens(LENGTH, VOCABULARY)
    _compile(task, metrics=["sparse_categorical_accuracy"])
    return Case(task, _token_inputs(backbone, x), y)


def masked_lm(name: str, arguments: dict[str, Any]) -> Case:
    """Return a masked language model."""
    backbone = _backbone(name, arguments)
    task = getattr(_hub().models, f"{name}MaskedLM")(
        backbone, preprocessor=None
    )
    ids, places, truth = data.masked(LENGTH, VOCABULARY)
    x = _token_inputs(backbone, ids) | {"mask_positions": places}
    _compile(task, weighted_metrics=[])
    return Case(task, x, truth)


def causal_lm(name: str, arguments: dict[str, Any]) -> Case:
    """Return a causal language model that learns to count."""
    backbone = _backbone(name, arguments)
    task = getattr(_hub().models, f"{name}CausalLM")(
        backbone, preprocessor=None
    )
    x, y = data.sequences(LENGTH, VOCABULARY)
    _compile(task, keras.optimizers.Adam(5e-3))
    return Case(task, _token_inputs(backbone, x), y)


def seq2seq_lm(name: str, arguments: dict[str, Any]) -> Case:
    """Return an encoder and decoder of text."""
    backbone = _backbone(name, arguments)
    task = getattr(_hub().models, f"{name}Seq2SeqLM")(
        backbone, preprocessor=None
    )
    x, y = data.sequences(LENGTH, VOCABULARY)
    _compile(task, keras.optimizers.Adam(5e-3))
    return Case(task, _token_inputs(backbone, x), y)


def image_classifier(name: str, arguments: dict[str, Any]) -> Case:
    """Return an image classifier."""
    backbone = _backbone(name, arguments)
    task = getattr(_hub().models, f"{name}ImageClassifier")(
        backbone, num_classes=3, preprocessor=None
    )
    x, y = data.images(backbone.input.shape[1] or SIZE, samples=32)
    _compile(task, keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    return Case(task, x, y, epochs=3)


def with_head(
    name: str,
    arguments: dict[str, Any],
    inputs: Callable[[Any], Any],
    choose: Callable[[Any], Any] = lambda outputs: outputs,
) -> Case:
    """Return a backbone with an average and a dense layer."""
    backbone = _backbone(name, arguments)
    x = choose(backbone.output)
    while len(x.shape) > 2:
        x = keras.ops.mean(x, axis=1)
    model = keras.Model(backbone.input, keras.layers.Dense(2, name="head")(x))
    rows, y = inputs(backbone)
    _compile(model, keras.optimizers.Adam(2e-3), metrics=["accuracy"])
    return Case(model, rows, y, epochs=2)


def _text_rows(backbone: Any) -> Any:
    x, y = data.tokens(LENGTH, VOCABULARY)
    return _token_inputs(backbone, x), y


def _image_rows(backbone: Any, samples: int = 32) -> Any:
    return data.images(backbone.input.shape[1] or SIZE, 2, samples)


def segmenter(name: str, backbone: Callable[[], Any], **arguments: Any) -> Case:
    """Return an image segmenter."""
    task = getattr(_hub().models, f"{name}ImageSegmenter")(
        backbone=backbone(), num_classes=2, preprocessor=None, **arguments
    )
    x, y = data.masks(64, samples=16)
    _compile(task, keras.optimizers.Adam(1e-3))
    return Case(task, x, y[..., 0], batch_size=4, epochs=3)


def resnet(size: int) -> Any:
    """Return a small ResNet."""
    return _backbone("ResNet", RESNET | {"image_shape": (size, size, 3)})


def deeplab() -> Any:
    """Return DeepLabV3+ over a small ResNet."""
    return _hub().models.DeepLabV3Backbone(
        image_encoder=resnet(64),
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        upsampling_size=4,
        dilation_rates=[2, 4],
        projection_filters=8,
    )


def mit(size: int = 64) -> Any:
    """Return a small Mix Transformer."""
    return _hub().models.MiTBackbone(
        layerwise_depths=[1, 1, 1, 1],
        num_layers=4,
        layerwise_num_heads=[1, 2, 2, 2],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[8, 16, 16, 16],
        image_shape=(size, size, 3),
    )


def segformer() -> Any:
    """Return SegFormer over a small Mix Transformer."""
    return _hub().models.SegFormerBackbone(
        image_encoder=mit(), projection_filters=8
    )


def retina_net() -> Case:
    """Return a RetinaNet of which a head on its features is trained."""
    models = _hub().models
    encoder = resnet(64)
    pyramid = models.RetinaNetBackbone(
        image_encoder=encoder,
        min_level=3,
        max_level=4,
        use_p5=False,
        image_shape=(64, 64, 3),
    )
    first = next(iter(pyramid.output.values()))
    x = keras.layers.GlobalAveragePooling2D()(first)
    model = keras.Model(pyramid.input, keras.layers.Dense(3, name="head")(x))
    _compile(model, keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    return Case(model, *data.images(64, samples=16), batch_size=4, epochs=3)


def whisper() -> Case:
    """Return Whisper's backbone; its head predicts the next token."""
    backbone = _hub().models.WhisperBackbone(
        **HEADS, num_mels=8, max_encoder_sequence_length=24,
        max_decoder_sequence_length=LENGTH,
    )
    hidden = backbone.output["decoder_sequence_output"]
    outputs = keras.layers.Dense(VOCABULARY, name="head")(hidden)
    model = keras.Model(backbone.input, outputs)
    x, y = data.sequences(LENGTH, VOCABULARY)
    sound, _ = data.series(48, 8)
    inputs = {
        "encoder_features": sound,
        "decoder_token_ids": x,
        "decoder_padding_mask": np.ones_like(x),
    }
    _compile(model, keras.optimizers.Adam(5e-3))
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
    models = _hub().models
    backbone = models.CLIPBackbone(
        models.CLIPVisionEncoder(
            patch_size=8, hidden_dim=16, num_layers=2, num_heads=2,
            intermediate_dim=32, image_shape=(SIZE, SIZE, 3),
        ),
        models.CLIPTextEncoder(
            vocabulary_size=VOCABULARY, embedding_dim=16, hidden_dim=16,
            num_layers=2, num_heads=2, intermediate_dim=32,
            max_sequence_length=LENGTH,
        ),
        projection_dim=8,
    )
    model = keras.Model(backbone.input, backbone.output["vision_logits"])
    model.compile(keras.optimizers.Adam(2e-3), ContrastiveLoss())
    images, y = data.images(SIZE, 8)
    tokens, _ = data.tokens(LENGTH, VOCABULARY)
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
        sampler_method="mean",
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
    models = _hub().models

    def text_encoder(name: str) -> Any:
        return models.CLIPTextEncoder(
            vocabulary_size=VOCABULARY,
            embedding_dim=32,
            hidden_dim=32,
            num_layers=1,
            num_heads=2,
            intermediate_dim=32,
            intermediate_output_index=0,
            max_sequence_length=LENGTH,
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
            shape = tuple(LENGTH if n is None else n for n in shape)
        rows[name] = rng.normal(size=shape).astype("float32")
    model = keras.Model(network.input, network.output)
    model.compile(keras.optimizers.AdamW(2e-3), "mse")
    return Case(model, rows, 0.1 * rows["latent"], batch_size=4, epochs=3)


RESNET = {
    "input_conv_filters": [8],
    "input_conv_kernel_sizes": [3],
    "stackwise_num_filters": [8, 16, 16, 16],
    "stackwise_num_blocks": [1, 1, 1, 1],
    "stackwise_num_strides": [1, 2, 2, 2],
    "block_type": "basic_block",
    "image_shape": (SIZE, SIZE, 3),
}
CSP = {
    "stem_filters": 8,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stackwise_depth": [1, 1],
    "stackwise_strides": [1, 2],
    "stackwise_num_filters": [8, 16],
    "block_type": "dark_block",
    "image_shape": (SIZE, SIZE, 3),
}
DENSENET = {
    "stackwise_num_repeats": [2, 2],
    "image_shape": (SIZE, SIZE, 3),
    "compression_ratio": 0.5,
    "growth_rate": 4,
}
VIT = {
    "image_shape": (SIZE, SIZE, 3),
    "patch_size": 8,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 16,
    "mlp_dim": 32,
}
DEIT = {k: v for k, v in VIT.items() if k != "mlp_dim"} | {
    "intermediate_dim": 32
}
SWIN = {
    "image_shape": (SIZE, SIZE, 3),
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
}
EFFICIENT = {
    "stackwise_width_coefficients": [1.0] * 2,
    "stackwise_depth_coefficients": [1.0] * 2,
    "stackwise_kernel_sizes": [3, 3],
    "stackwise_num_repeats": [1, 2],
    "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 4],
    "stackwise_strides": [1, 2],
    "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
    "stackwise_block_types": ["v1", "v1"],
    "stackwise_force_input_filters": [0, 0],
    "stackwise_nores_option": [False, False],
    "input_shape": (SIZE, SIZE, 3),
    "num_features": 16,
}
MOBILE = {
    "stackwise_expansion": [[8, 16]],
    "stackwise_num_blocks": [2],
    "stackwise_num_filters": [[8, 8]],
    "stackwise_kernel_size": [[3, 3]],
    "stackwise_num_strides": [[2, 1]],
    "stackwise_se_ratio": [[None, 0.25]],
    "stackwise_activation": [["relu", "hard_swish"]],
    "stackwise_padding": [[1, 1]],
    "output_num_filters": 16,
    "input_num_filters": 8,
    "input_activation": "relu",
    "output_activation": "hard_swish",
    "last_layer_filter": 16,
    "depthwise_filters": 16,
    "depthwise_stride": 2,
    "depthwise_residual": False,
    "image_shape": (SIZE, SIZE, 3),
}
VGG = {
    "stackwise_num_repeats": [1, 1],
    "stackwise_num_filters": [8, 16],
    "image_shape": (SIZE, SIZE, 3),
}
XCEPTION = {
    "stackwise_conv_filters": [[8, 16], [16, 16]],
    "stackwise_pooling": [True, False],
    "image_shape": (SIZE, SIZE, 3),
}
HGNET = {
    "depths": [1, 1],
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "stem_channels": [3, 8, 8],
    "hidden_act": "relu",
    "use_learnable_affine_block": False,
    "stackwise_stage_filters": [[8, 8, 8, 1, 2, 3], [8, 8, 16, 1, 2, 3]],
    "apply_downsample": [False, True],
    "use_lightweight_conv_block": [False, True],
    "image_shape": (SIZE, SIZE, 3),
}
DINO = {
    "patch_size": 8,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 32,
    "image_shape": (SIZE, SIZE, 3),
    "position_embedding_shape": (SIZE, SIZE, 3),
    "use_mask_token": False,
}
SMOL = {
    "vocabulary_size": VOCABULARY,
    "hidden_dim": 16,
    "intermediate_dim": 32,
    "num_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rope_layer_enabled_list": [True, False],
    "layer_types": ["full_attention", "full_attention"],
    "mlp_bias": False,
    "layer_norm_epsilon": 1e-6,
    "max_position_embeddings": LENGTH,
    "rope_theta": 1e4,
    "partial_rotary_factor": 1.0,
}
RWKV = {
    "hidden_size": 16,
    "head_size": 8,
    "num_layers": 2,
    "vocabulary_size": VOCABULARY,
    "intermediate_dim": 32,
    "gate_lora": 8,
    "mv_lora": 4,
    "aaa_lora": 4,
    "decay_lora": 4,
}
T5GEMMA = {
    f"{part}_{key}": value
    for part in ("encoder", "decoder")
    for key, value in {
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "layer_types": ["full_attention"],
    }.items()
} | {"vocabulary_size": VOCABULARY}
POSITIONS = {"max_sequence_length": LENGTH}
_make = functools.partial

MODELS: dict[str, Make] = {
    "BERT classifier": _make(text_classifier, "Bert", HEADS | POSITIONS),
    "RoBERTa classifier": _make(text_classifier, "Roberta", HEADS | POSITIONS),
    "DeBERTa V3 classifier": _make(
        text_classifier,
        "DebertaV3",
        HEADS | POSITIONS | {"bucket_size": 8},
    ),
    "DistilBERT masked LM": _make(masked_lm, "DistilBert", HEADS | POSITIONS),
    "ALBERT masked LM": _make(
        masked_lm, "Albert", HEADS | POSITIONS | {"embedding_dim": 8}
    ),
    "F-Net classifier": _make(text_classifier, "FNet", TEXT | POSITIONS),
    "ELECTRA backbone": _make(
        with_head,
        "Electra",
        HEADS | POSITIONS | {"embedding_dim": 8},
        _text_rows,
        lambda outputs: outputs["sequence_output"],
    ),
    "XLNet backbone": _make(
        with_head,
        "XLNet",
        {
            "vocabulary_size": VOCABULARY,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 16,
            "intermediate_dim": 32,
        },
        _text_rows,
    ),
    "ESM2 masked LM": _make(
        with_head, "ESM2", HEADS, _text_rows
    ),
    "GPT-2 causal LM": _make(causal_lm, "GPT2", HEADS | POSITIONS),
    "GPT-NeoX causal LM": _make(causal_lm, "GPTNeoX", HEADS),
    "OPT causal LM": _make(causal_lm, "OPT", HEADS | POSITIONS),
    "BLOOM causal LM": _make(causal_lm, "Bloom", HEADS),
    "Falcon causal LM": _make(
        causal_lm,
        "Falcon",
        {
            "vocabulary_size": VOCABULARY,
            "num_layers": 2,
            "num_attention_heads": 2,
            "hidden_dim": 16,
            "intermediate_dim": 32,
        },
    ),
    "Gemma causal LM": _make(causal_lm, "Gemma", GROUPED | {"head_dim": 8}),
    "Gemma 3 causal LM": _make(
        causal_lm,
        "Gemma3",
        GROUPED | {"head_dim": 8, "image_size": 16},
    ),
    "Llama causal LM": _make(causal_lm, "Llama", GROUPED),
    "Llama 3 causal LM": _make(causal_lm, "Llama3", GROUPED),
    "Mistral causal LM": _make(causal_lm, "Mistral", GROUPED),
    "Mixtral causal LM (MoE)": _make(
        causal_lm, "Mixtral", GROUPED | {"num_experts": 3, "top_k": 2}
    ),
    "Qwen 2.5 causal LM": _make(causal_lm, "Qwen", GROUPED),
    "Qwen 3 causal LM": _make(
        causal_lm, "Qwen3", GROUPED | {"head_dim": 8}
    ),
    "Qwen MoE causal LM": _make(
        causal_lm,
        "QwenMoe",
        GROUPED
        | {
            "moe_intermediate_dim": 16,
            "shared_expert_intermediate_dim": 16,
            "num_experts": 3,
            "top_k": 2,
        },
    ),
    "GPT-OSS causal LM (MoE)": _make(
        causal_lm,
        "GptOss",
        GROUPED | {"head_dim": 8, "num_experts": 3, "top_k": 2},
    ),
    "Phi 3 causal LM": _make(causal_lm, "Phi3", GROUPED),
    "SmolLM 3 causal LM": _make(causal_lm, "SmolLM3", SMOL),
    "RWKV 7 causal LM": _make(causal_lm, "RWKV7", RWKV),
    "BART seq2seq LM": _make(seq2seq_lm, "Bart", HEADS | POSITIONS),
    "T5 seq2seq LM": _make(
        seq2seq_lm, "T5", HEADS | {"key_value_dim": 8}
    ),
    "T5Gemma seq2seq LM": _make(seq2seq_lm, "T5Gemma", T5GEMMA),
    "Whisper": whisper,
    "CLIP": clip,
    "ViT classifier": _make(image_classifier, "ViT", VIT),
    "DeiT classifier": _make(image_classifier, "DeiT", DEIT),
    "DINOv2 backbone": _make(with_head, "DINOV2", DINO, _image_rows),
    "Swin classifier": _make(image_classifier, "SwinTransformer", SWIN),
    "ResNet classifier": _make(image_classifier, "ResNet", RESNET),
    "EfficientNet classifier": _make(
        image_classifier, "EfficientNet", EFFICIENT
    ),
    "MobileNet classifier": _make(image_classifier, "MobileNet", MOBILE),
    "CSPNet classifier": _make(image_classifier, "CSPNet", CSP),
    "DenseNet classifier": _make(image_classifier, "DenseNet", DENSENET),
    "VGG classifier": _make(image_classifier, "VGG", VGG),
    "Xception classifier": _make(image_classifier, "Xception", XCEPTION),
    "HGNetV2 classifier": _make(image_classifier, "HGNetV2", HGNET),
    "SegFormer": _make(segmenter, "SegFormer", segformer),
    "DeepLabV3+": _make(segmenter, "DeepLabV3", deeplab),
    "RetinaNet backbone": retina_net,
    "VAE of Stable Diffusion 3": autoencoder,
    "Stable Diffusion 3": stable_diffusion_3,
}
