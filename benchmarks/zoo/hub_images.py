"""Image models of KerasHub."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from benchmarks.zoo import data, hub
from benchmarks.zoo.registry import Case, Make


def image_classifier(
    name: str, arguments: dict[str, Any], **of_task: Any
) -> Case:
    """Return an image classifier."""
    backbone = hub.backbone_of(name, arguments)
    task = getattr(hub.models(), f"{name}ImageClassifier")(
        backbone, num_classes=3, preprocessor=None, **of_task
    )
    x, y = data.images(backbone.input.shape[1] or hub.SIZE, samples=32)
    hub.compiled(task, keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    return Case(task, x, y, epochs=3)


def _image_rows(backbone: Any, samples: int = 32) -> Any:
    return data.images(hub.SIZE, 2, samples)


def segmenter(name: str, backbone: Callable[[], Any], **arguments: Any) -> Case:
    """Return an image segmenter."""
    task = getattr(hub.models(), f"{name}ImageSegmenter")(
        backbone=backbone(), num_classes=2, preprocessor=None, **arguments
    )
    x, y = data.masks(64, samples=16)
    hub.compiled(task, keras.optimizers.Adam(1e-3))
    return Case(task, x, y, batch_size=4, epochs=3)


def resnet(size: int) -> Any:
    """Return a small ResNet."""
    return hub.backbone_of("ResNet", RESNET | {"image_shape": (size, size, 3)})


def deeplab() -> Any:
    """Return DeepLabV3+ over a small ResNet."""
    return hub.models().DeepLabV3Backbone(
        image_encoder=resnet(64),
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        upsampling_size=4,
        dilation_rates=[2, 4],
        projection_filters=8,
    )


def mit(size: int = 64) -> Any:
    """Return a small Mix Transformer."""
    return hub.models().MiTBackbone(
        layerwise_depths=[1, 1, 1, 1],
        num_layers=4,
        layerwise_num_heads=[1, 2, 2, 2],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[8, 16, 24, 32],
        image_shape=(size, size, 3),
    )


def segformer() -> Any:
    """Return SegFormer over a small Mix Transformer."""
    return hub.models().SegFormerBackbone(
        image_encoder=mit(), projection_filters=8
    )


def retina_net() -> Case:
    """Return a RetinaNet of which a head on its features is trained."""
    models = hub.models()
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
    hub.compiled(model, keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    return Case(model, *data.images(64, samples=16), batch_size=4, epochs=3)


RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [3],
    "stackwise_num_filters": [64, 32, 32, 32],
    "stackwise_num_blocks": [1, 1, 1, 1],
    "stackwise_num_strides": [1, 2, 2, 2],
    "block_type": "basic_block",
    "image_shape": (hub.SIZE, hub.SIZE, 3),
}
CSP = {
    "stem_filters": 8,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stackwise_depth": [1, 1],
    "stackwise_strides": [1, 2],
    "stackwise_num_filters": [8, 16],
    "block_type": "dark_block",
    "stage_type": "dark",
    "bottle_ratio": [0.5],
    "image_shape": (hub.SIZE, hub.SIZE, 3),
}
DENSENET = {
    "stackwise_num_repeats": [2, 2],
    "image_shape": (hub.SIZE, hub.SIZE, 3),
    "compression_ratio": 0.5,
    "growth_rate": 4,
}
VIT = {
    "image_shape": (hub.SIZE, hub.SIZE, 3),
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
    "image_shape": (hub.SIZE, hub.SIZE, 3),
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
    "input_shape": (hub.SIZE, hub.SIZE, 3),
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
    "image_shape": (hub.SIZE, hub.SIZE, 3),
}
VGG = {
    "stackwise_num_repeats": [1, 1],
    "stackwise_num_filters": [8, 16],
    "image_shape": (hub.SIZE, hub.SIZE, 3),
}
XCEPTION = {
    "stackwise_conv_filters": [[8, 16], [16, 16]],
    "stackwise_pooling": [True, False],
    "image_shape": (hub.SIZE, hub.SIZE, 3),
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
    "image_shape": (hub.SIZE, hub.SIZE, 3),
}
DINO = {
    "patch_size": 8,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 32,
    "image_shape": (hub.SIZE, hub.SIZE, 3),
    "position_embedding_shape": (hub.SIZE, hub.SIZE, 3),
    "use_mask_token": False,
}
_make = functools.partial

MODELS: dict[str, Make] = {
    "ViT classifier": _make(image_classifier, "ViT", VIT),
    "DeiT classifier": _make(image_classifier, "DeiT", DEIT),
    "DINOv2 backbone": _make(
        hub.with_head, "DINOV2", DINO, _image_rows, hub.sequence
    ),
    "Swin classifier": _make(image_classifier, "SwinTransformer", SWIN),
    "ResNet classifier": _make(image_classifier, "ResNet", RESNET),
    "EfficientNet classifier": _make(
        image_classifier, "EfficientNet", EFFICIENT
    ),
    "MobileNet classifier": _make(image_classifier, "MobileNet", MOBILE),
    "CSPNet classifier": _make(image_classifier, "CSPNet", CSP),
    "DenseNet classifier": _make(image_classifier, "DenseNet", DENSENET),
    "VGG classifier": _make(
        image_classifier, "VGG", VGG, pooling_hidden_dim=32
    ),
    "Xception classifier": _make(image_classifier, "Xception", XCEPTION),
    "HGNetV2 classifier": _make(image_classifier, "HGNetV2", HGNET),
    "SegFormer": _make(segmenter, "SegFormer", segformer),
    "DeepLabV3+": _make(segmenter, "DeepLabV3", deeplab),
    "RetinaNet backbone": retina_net,
}
