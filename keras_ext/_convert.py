"""Swaps the built-ins of a model for their counterparts in keras_ext.

`convert` saves the model, replaces the names of built-ins in the config, and
loads the model again. So Keras itself carries over weights, optimizer state
and seeds. A config does not show layers that a model makes in its constructor;
these are swapped while the model loads.
"""

import contextlib
import inspect
import json
import shutil
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from keras_ext import (
    activations,
    initializers,
    layers,
    losses,
    optimizers,
    regularizers,
)

# In the order of the report.
_MODULES = {
    "layers": layers,
    "activations": activations,
    "initializers": initializers,
    "regularizers": regularizers,
    "losses": losses,
    "optimizers": optimizers,
}


def convert(
    model: Any, *, print_fn: Callable[[str], Any] | None = print
) -> Any:
    """Swap the built-ins of a model for those of `keras_ext`.

    `convert` swaps each layer, activation, initializer, regularizer, loss and
    optimizer that has a counterpart of the same name in `keras_ext`: in nested
    models, wrappers, cells, arguments of layers and arguments of `compile`. It
    keeps weights, optimizer state, seeds, names, dtype policies and frozen
    layers. A class of your own that subclasses a built-in stays; only its
    parts are swapped.

    The given model does not change. For a moment both models are in memory,
    and once more on disk. Make no layers in other threads meanwhile: `convert`
    replaces `__new__` of the built-in layers while the new model loads.

    Args:
        model: A Keras model, built or not, compiled or not. Its own classes
            need a `get_config` if their constructors take arguments, as for
            `model.save`.
        print_fn: Function that takes the report, one line per kind of
            component; `None` for no report. Defaults to `print`.

    Returns:
        The new model.

    Raises:
        ValueError: If `model` is not a Keras model, or cannot be saved and
            loaded again, for example with a lambda in a `Lambda` layer.

    Example:
    >>> import keras
    >>> import keras_ext
    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(8, activation="relu"),
    ...         keras.layers.Dense(1),
    ...     ]
    ... )
    >>> model.compile("sgd", "mse")
    >>> model = keras_ext.convert(model)
    layers: 2 Dense
    activations: 1 linear, 1 relu
    initializers: 2 GlorotUniform, 2 Zeros
    losses: 1 mean_squared_error
    optimizers: 1 SGD
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model}"
        )
    _check_serializable(model)
    table = _counterparts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        try:
            with warnings.catch_warnings():
                # An unbuilt model has no weights to save.
                warnings.filterwarnings("ignore", ".*has not yet been built")
                model.save(path / "old.keras")
            _rewrite_file(path / "old.keras", path / "new.keras", model, table)
            with _constructing(table), warnings.catch_warnings():
                # `_copy_optimizer` copies what Keras skips.
                warnings.filterwarnings("ignore", "Skipping variable loading")
                new = keras.saving.load_model(
                    path / "new.keras", custom_objects=_custom_objects(model)
                )
        except Exception as error:
            raise ValueError(
                "`model` must be one that can be saved and loaded again. "
                f"Received: model={model}, which failed with: {error}"
            ) from error
    for old_layer, layer in zip(_layers(model), _layers(new), strict=True):
        _swap_attributes(layer, table)
        if layer.trainable != old_layer.trainable:
            layer.trainable = old_layer.trainable
    for old_variable, variable in zip(
        model.variables, new.variables, strict=True
    ):
        # Keras does not save a seed's state, which is a variable.
        variable.assign(keras.ops.copy(old_variable.value))
        regularizer = getattr(variable, "regularizer", None)
        if regularizer is not None:
            variable.regularizer = _swapped(regularizer, table)
        if variable.trainable != old_variable.trainable:
            variable.trainable = old_variable.trainable
    _copy_optimizer(model, new)
    if print_fn is not None:
        print_fn(_report(model, new, table))
    return new


def _counterparts() -> dict[Any, Any]:
    """Map each built-in class and function to its counterpart."""
    table: dict[Any, Any] = {}
    for kind, module in _MODULES.items():
        for name, ours in vars(module).items():
            builtin = getattr(getattr(keras, kind), name, None)
            if inspect.isclass(builtin) and inspect.isclass(ours):
                # Not for an alias, whose `__name__` is another one.
                if issubclass(ours, builtin) and ours.__name__ == name:
                    table[builtin] = ours
            elif inspect.isfunction(builtin) and inspect.isfunction(ours):
                table[builtin] = ours
    return table


def _builtin(config: dict[str, Any]) -> Any:
    """Return the Keras class or function that a config names, or `None`."""
    package, *folders = (config.get("module") or "").split(".")
    # Keras saves PyTorch's optimizers with a private module path.
    kinds = [kind for kind in folders if kind in _MODULES]
    if package != "keras" or not kinds:
        return None
    return getattr(getattr(keras, kinds[0]), config["class_name"], None)


def _rewrite(config: Any, table: dict[Any, Any]) -> Any:
    """Return the config with the names of built-ins replaced."""
    if isinstance(config, list):
        return [_rewrite(item, table) for item in config]
    if not isinstance(config, dict):
        return config
    new = {key: _rewrite(value, table) for key, value in config.items()}
    if "class_name" not in config or "config" not in config:
        return new
    builtin = _builtin(config)
    if builtin is not None and isinstance(new["config"], dict):
        # In other configs such a string may mean something else.
        for key, value in new["config"].items():
            if key.endswith("activation") and isinstance(value, str):
                ours = table.get(keras.activations.get(value))
                if ours is not None:
                    new["config"][key] = keras.activations.serialize(ours)
    if inspect.isclass(builtin) and builtin in table:
        ours = table[builtin]
        new["module"] = ours.__module__
        new["class_name"] = ours.__name__
        new["registered_name"] = keras.saving.get_registered_name(ours)
    compile_config = new.get("compile_config") or {}
    if "loss" in compile_config:
        loss = _rewrite_loss(compile_config["loss"], table)
        compile_config["loss"] = loss
    return new


def _rewrite_loss(loss: Any, table: dict[Any, Any]) -> Any:
    """Replace the names of loss functions, in any structure."""
    if isinstance(loss, list):
        return [_rewrite_loss(item, table) for item in loss]
    name = loss
    if isinstance(loss, dict):
        if "class_name" not in loss:
            return {k: _rewrite_loss(v, table) for k, v in loss.items()}
        if loss["class_name"] != "function":
            return loss
        name = loss["config"]
    if not isinstance(name, str):
        return loss
    try:
        builtin = keras.losses.get(name)
    except ValueError:  # A custom function.
        return loss
    ours = table.get(builtin)
    return loss if ours is None else keras.losses.serialize(ours)


def _complete_loss(config: Any, loss: Any) -> None:
    """Add Huber's `delta`, which Keras leaves out of the config."""
    if isinstance(loss, dict):
        for key, item in loss.items():
            _complete_loss(config[key], item)
    elif isinstance(loss, list | tuple):
        for part, item in zip(config, loss, strict=True):
            _complete_loss(part, item)
    elif type(loss) is keras.losses.Huber:
        config["config"].setdefault("delta", loss._fn_kwargs["delta"])


def _rewrite_file(
    old: Path, new: Path, model: Any, table: dict[Any, Any]
) -> None:
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
        for item in source.infolist():
            if item.filename == "config.json":
                config = json.loads(source.read(item))
                loss = (config.get("compile_config") or {}).get("loss")
                _complete_loss(loss, getattr(model, "loss", None))
                text = json.dumps(_rewrite(config, table))
                target.writestr(item.filename, text)
                continue
            with (
                source.open(item) as reader,
                target.open(item.filename, "w", force_zip64=True) as writer,
            ):
                shutil.copyfileobj(reader, writer)


@contextlib.contextmanager
def _constructing(table: dict[Any, Any]) -> Iterator[None]:
    """Make a built-in layer's constructor return the counterpart.

    A model's constructor makes layers that no config shows. Subclasses of
    built-in layers stay.
    """

    def make(builtin: Any, ours: Any) -> Any:
        def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
            kind = ours if cls is builtin else cls
            return super(builtin, cls).__new__(kind, *args, **kwargs)

        return __new__

    pairs: list[tuple[Any, Any]] = [
        (builtin, ours)
        for builtin, ours in table.items()
        if inspect.isclass(builtin)
        and issubclass(builtin, keras.layers.Layer)
        and "__new__" not in vars(builtin)
    ]
    for builtin, ours in pairs:
        builtin.__new__ = make(builtin, ours)
    try:
        yield
    finally:
        for builtin, _ in pairs:
            del builtin.__new__


def _layers(model: Any) -> list[Any]:
    # Keras lists a shared layer once for each use.
    return list({id(x): x for x in model._flatten_layers()}.values())


def _swapped(value: Any, table: dict[Any, Any]) -> Any:
    """Return the counterpart of an object or function, or itself."""
    if inspect.isfunction(value):
        return table.get(value, value)
    ours = table.get(type(value))
    return value if ours is None else ours.from_config(value.get_config())


def _swap_attributes(layer: Any, table: dict[Any, Any]) -> None:
    """Swap what a layer made in its constructor, except layers."""
    kinds = keras.initializers.Initializer | keras.regularizers.Regularizer
    for name, value in list(vars(layer).items()):
        if inspect.isfunction(value) or isinstance(value, kinds):
            swapped = _swapped(value, table)
            if swapped is not value:
                setattr(layer, name, swapped)


def _copy_optimizer(old: Any, new: Any) -> None:
    """Copy state that Keras could not load.

    Keras builds the new optimizer for the variables that are trainable now.
    The old optimizer may have been built for other variables.
    """
    optimizer = getattr(old, "optimizer", None)
    if optimizer is None or new.optimizer is None:
        return
    _copy_exclusions(old, new)
    if not optimizer.built:
        return
    before, after = (
        [v.shape for v in o.variables] for o in (optimizer, new.optimizer)
    )
    if before != after:
        pairs = zip(old.variables, new.variables, strict=True)
        of_old = {id(variable): twin for variable, twin in pairs}
        config = keras.optimizers.serialize(new.optimizer)
        new.optimizer = keras.optimizers.deserialize(config)
        _copy_exclusions(old, new)
        trained = [of_old[id(v)] for v in optimizer._trainable_variables]
        new.optimizer.build(trained)
    for a, b in zip(optimizer.variables, new.optimizer.variables, strict=True):
        b.assign(keras.ops.copy(a.value))


def _copy_exclusions(old: Any, new: Any) -> None:
    """Copy the exclusions from weight decay, which no config holds."""
    before, after = (
        getattr(model.optimizer, "inner_optimizer", model.optimizer)
        for model in (old, new)
    )
    excluded: set[Any] = getattr(before, "_exclude_from_weight_decay", set())
    pattern = getattr(before, "_exclude_from_weight_decay_pattern", None)
    if excluded or pattern:
        pairs = zip(old.variables, new.variables, strict=True)
        after.exclude_from_weight_decay(
            [b for a, b in pairs if before._var_key(a) in excluded],
            pattern and [pattern.pattern],
        )


def _custom_objects(model: Any) -> dict[str, Any]:
    """Return custom classes and losses, which may not be registered."""
    things = [*map(type, _layers(model)), type(getattr(model, "optimizer", 0))]
    for loss in keras.tree.flatten(getattr(model, "loss", None)):
        if loss is not None and not isinstance(loss, str):
            things.append(loss if hasattr(loss, "__name__") else type(loss))
    return {
        keras.saving.get_registered_name(thing): thing
        for thing in things
        if (thing.__module__ or "").split(".")[0]
        not in ("builtins", "keras", "keras_ext")
    }


def _check_serializable(model: Any) -> None:
    """Raise an error that names a layer that Keras cannot save or load."""
    # Inner layers first: an outer layer fails because of them.
    for layer in reversed(_layers(model)):
        function = getattr(layer, "function", None)
        if isinstance(layer, keras.layers.Lambda) and (
            getattr(function, "__name__", "") == "<lambda>"
        ):
            raise ValueError(
                "`model` must have no `Lambda` layer with a lambda, which "
                "Keras does not load again; give it a registered function. "
                f"Received: layer '{layer.name}'"
            )
        try:
            layer.get_config()
        except NotImplementedError as error:
            raise ValueError(
                "`model` must have only layers with a `get_config`. "
                f"Received: layer '{layer.name}' of class "
                f"{type(layer).__name__}"
            ) from error


def _components(model: Any) -> Counter:
    """Count the classes and functions in the model."""
    parts: list[Any] = []
    for layer in _layers(model):
        parts.append(layer)
        if not isinstance(layer, keras.Model):
            parts += vars(layer).values()
    if getattr(model, "compiled", False):
        optimizer = model.optimizer
        parts += keras.tree.flatten(model.loss)
        parts.append(getattr(optimizer, "inner_optimizer", optimizer))
    return Counter(x if inspect.isfunction(x) else type(x) for x in parts)


def _report(old: Any, new: Any, table: dict[Any, Any]) -> str:
    """Return one line for each kind of swapped component."""
    # Without components that were in the old model.
    swapped = _components(new) - _components(old)
    lines = []
    for kind, module in _MODULES.items():
        public = {id(thing) for thing in vars(module).values()}
        counts = sorted(
            (thing.__name__, number)
            for thing, number in swapped.items()
            if thing in table.values() and id(thing) in public
        )
        if counts:
            names = ", ".join(f"{number} {name}" for name, number in counts)
            lines.append(f"{kind}: {names}")
    return "\n".join(lines) or "nothing to swap"
