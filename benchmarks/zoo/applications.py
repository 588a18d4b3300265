"""The families of `keras.applications`, one model each, at full width."""

import functools
from typing import Any

import keras

from benchmarks.zoo import data
from benchmarks.zoo.registry import Case, Make, compiled_classifier

CLASSES = 3
# The name of the function, the smallest size of its images, arguments.
FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "ConvNeXtTiny": (32, {}),
    "DenseNet121": (32, {}),
    "EfficientNetB0": (32, {}),
    "EfficientNetV2B0": (32, {}),
    "InceptionResNetV2": (75, {}),
    "InceptionV3": (75, {}),
    "MobileNet": (32, {"alpha": 0.25}),
    "MobileNetV2": (32, {"alpha": 0.35}),
    "MobileNetV3Large": (32, {"alpha": 0.75}),
    "MobileNetV3Small": (32, {"alpha": 0.75}),
    "NASNetMobile": (32, {}),
    "ResNet50": (32, {}),
    "ResNet50V2": (32, {}),
    "VGG16": (32, {}),
    "Xception": (71, {}),
}


def classifier(name: str, size: int, arguments: dict[str, Any]) -> Case:
    """Return a backbone of random weights with a head, and images."""
    backbone = getattr(keras.applications, name)(
        include_top=False,
        weights=None,
        input_shape=(size, size, 3),
        pooling="avg",
        **arguments,
    )
    outputs = keras.layers.Dense(CLASSES, name="head")(backbone.output)
    model = keras.Model(backbone.input, outputs, name=name)
    x, y = data.images(size, CLASSES, samples=24)
    scale = 1.0
    if "V3" in name and "Mobile" in name or name.startswith("Efficient"):
        scale = 60.0  # These models scale images of 0 to 255 themselves.
    x = x * scale + (128 if scale > 1 else 0)
    optimizer = keras.optimizers.RMSprop(1e-4)
    return compiled_classifier(model, x, y, optimizer, batch_size=4, epochs=2)


MODELS: dict[str, Make] = {
    name: functools.partial(classifier, name, size, arguments)
    for name, (size, arguments) in FAMILIES.items()
}
