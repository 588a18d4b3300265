"""Image, sequence and video models of k3im."""

import functools
import importlib
from typing import Any

import keras
import numpy as np

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make

SIZE, CLASSES = 32, 3
_BLOCKS = {"dim": 16, "depth": 2, "num_classes": CLASSES}
_HEADS = _BLOCKS | {"heads": 2, "mlp_dim": 32, "dim_head": 8}
_IMAGE = {"image_size": SIZE, "patch_size": 8}
_VIDEO = {
    "image_size": 16,
    "image_patch_size": 8,
    "frames": 4,
    "frame_patch_size": 2,
}
_EMBEDDING = {
    "image_size": SIZE,
    "patch_size": 8,
    "embedding_dim": 16,
    "num_blocks": 2,
    "dropout_rate": 0.1,
    "num_classes": CLASSES,
}
_CCT = {
    "num_heads": 2,
    "projection_dim": 16,
    "kernel_size": 3,
    "stride": 2,
    "padding": 1,
    "transformer_units": [32, 16],
    "stochastic_depth_rate": 0.1,
    "transformer_layers": 2,
    "num_classes": CLASSES,
}


def _rows(model: Any) -> Any:
    """Return data of the shape of the model's inputs."""
    shape = model.input_shape[1:]
    if len(shape) == 2:
        x, y = data.series(shape[0], shape[1], samples=32, classes=CLASSES)
        return x, y
    x, y = data.images(shape[-2], CLASSES, samples=32)
    if len(shape) == 4:
        x = np.repeat(x[:, None], shape[0], axis=1)
    return x, y


def classifier(module: str, name: str, arguments: dict[str, Any]) -> Case:
    """Return a model of k3im and data of its shape."""
    source = importlib.import_module(f"k3im.{module}")
    if hasattr(source, "seed_gen"):
        # One for all models: each training would have other random numbers.
        vars(source)["seed_gen"] = keras.random.SeedGenerator(42)
    model = getattr(source, name)(**arguments)
    if not isinstance(model, keras.Model):  # FocalNet is a function.
        inputs = keras.Input((SIZE, SIZE, 3))
        model = keras.Model(inputs, model(inputs))
    # Some of the models end in softmax, some in logits.
    last = getattr(model.layers[-1], "activation", None)
    is_softmax = last is keras.activations.softmax
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=not is_softmax),
        metrics=["accuracy"],
    )
    return Case(model, *_rows(model), epochs=3)


_TABLE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "k3im CaiT": ("cait", "CaiTModel", _IMAGE | _HEADS | {"cls_depth": 1}),
    "k3im CCT": ("cct", "CCT", _CCT | {"input_shape": (SIZE, SIZE, 3)}),
    "k3im CCT 1D": ("cct_1d", "CCT_1DModel", _CCT | {"input_shape": (24, 3)}),
    "k3im ConvMixer": (
        "convmixer",
        "ConvMixer",
        {"filters": 16, "depth": 2, "num_classes": CLASSES},
    ),
    "k3im CrossViT": (
        "cross_vit",
        "CrossViT",
        {
            "image_size": SIZE,
            "num_classes": CLASSES,
            "sm_dim": 16,
            "lg_dim": 16,
            "channels": 3,
            "sm_patch_size": 8,
            "lg_patch_size": 16,
            "sm_enc_mlp_dim": 32,
            "lg_enc_mlp_dim": 32,
            "sm_enc_heads": 2,
            "lg_enc_heads": 2,
            "lg_enc_depth": 1,
            "cross_attn_depth": 1,
            "cross_attn_heads": 2,
            "depth": 1,
        },
    ),
    "k3im DeepViT": ("deepvit", "DeepViT", _IMAGE | _HEADS),
    "k3im EANet": (
        "eanet",
        "EANet",
        {
            "input_shape": (SIZE, SIZE, 3),
            "patch_size": 8,
            "embedding_dim": 16,
            "num_transformer_blocks": 2,
            "mlp_dim": 16,
            "num_heads": 2,
            "dim_coefficient": 2,
            "attention_dropout": 0.1,
            "projection_dropout": 0.1,
            "num_classes": CLASSES,
        },
    ),
    "k3im F-Net": ("fnet", "FNetModel", _EMBEDDING),
    "k3im FocalNet": (
        "focalnet",
        "FocalNet",
        {
            "img_size": SIZE,
            "num_classes": CLASSES,
            "embed_dim": 8,
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
        },
    ),
    "k3im gMLP": ("gmlp", "gMLPModel", _EMBEDDING),
    "k3im Simple ViT": ("simple_vit", "SimpleViT", _IMAGE | _HEADS),
    "k3im Simple ViT 1D": (
        "simple_vit_1d",
        "SimpleViT1DModel",
        _HEADS | {"seq_len": 24, "patch_size": 4},
    ),
    "k3im Swin": (
        "swint",
        "SwinTModel",
        {
            "img_size": SIZE,
            "patch_size": (2, 2),
            "embed_dim": 16,
            "num_heads": 2,
            "window_size": 2,
            "num_mlp": 32,
            "qkv_bias": True,
            "dropout_rate": 0.03,
            "shift_size": 1,
            "num_classes": CLASSES,
        },
    ),
    "k3im TokenLearner": (
        "token_learner",
        "ViTokenLearner",
        _IMAGE | _HEADS | {"token_learner_units": 2},
    ),
    "k3im ViT 3D": (
        "vit_3d",
        "ViT3DModel",
        _VIDEO | _HEADS | {"pool": "mean"},
    ),
    "k3im ViViT": (
        "vivit",
        "ViViT",
        _VIDEO
        | {k: v for k, v in _HEADS.items() if k != "depth"}
        | {"spatial_depth": 1, "temporal_depth": 1},
    ),
    "k3im Video Mixer": (
        "video_mixer",
        "VideoMixerModel",
        _VIDEO
        | {
            "dim": 16,
            "mlp_dim": 16,
            "num_classes": CLASSES,
            "spatial_depth": 1,
            "temporal_depth": 1,
        },
    ),
}

MODELS: dict[str, Make] = {
    name: functools.partial(classifier, *row) for name, row in _TABLE.items()
}
