"""Swaps the built-ins of a model for their counterparts here.

The model is written as `model.save` writes it, the names of built-ins in its
config are replaced, and it is read again, so that Keras itself carries over
weights, optimizer state, seeds and everything else that it saves. What a
config does not show (layers that a model makes in its constructor) is swapped
while the model is read.
"""

import contextlib
import inspect
import json
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
_ROOMS = {
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
    """Returns the same model with its built-ins swapped for those here.

    Every layer, activation, initializer, regularizer, loss and optimizer that
    has a counterpart of the same name in `keras_ext` is swapped, wherever it
    is: in nested models, wrappers, cells, other layers' arguments, and in
    what `compile` was given. Weights, the optimizer's state, seeds, names,
    dtype policies and what is frozen are kept. Of a person's own subclass of
    a built-in only the parts are swapped.

    The given model is not changed. The new one has weights of its own, so
    for a moment both are in memory, and once more on disk. While it loads,
    the built-in layers' `__new__` is replaced: no other thread may make
    layers then.

    Args:
        model: A Keras model, built or not, compiled or not. Its own classes
            need what `model.save` asks of them: a `get_config`, if their
            constructors take arguments.
        print_fn: Function that takes the report, one line per kind of
            component; `None` for no report. Defaults to `print`.

    Returns:
        The new model.

    Raises:
        ValueError: If `model` is no Keras model, or cannot be saved and
            loaded again, for example for a `Lambda` layer with a lambda.

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
                # An unbuilt model has no weights, which is no surprise here.
                warnings.filterwarnings("ignore", ".*has not yet been built")
                model.save(path / "old.keras")
            _rewrite_file(path / "old.keras", path / "new.keras", model, table)
            with _constructing(table), warnings.catch_warnings():
                # `_copy_optimizer` makes up for it.
                warnings.filterwarnings("ignore", "Skipping variable loading")
                new = keras.saving.load_model(
                    path / "new.keras", custom_objects=_custom_objects(model)
                )
        except Exception as error:
            raise ValueError(
                "`model` must be one that can be saved and loaded again. "
                f"Received: model={model}, which failed with: {error}"
            ) from error
    for old_layer, new_layer in _pairs(model, new):
        _swap_attributes(new_layer, table)
        if new_layer.trainable != old_layer.trainable:
            new_layer.trainable = old_layer.trainable
    for old_variable, new_variable in zip(
        model.variables, new.variables, strict=True
    ):
        # A seed's state is a variable that Keras does not save.
        new_variable.assign(keras.ops.copy(old_variable.value))
        regularizer = getattr(new_variable, "regularizer", None)
        if regularizer is not None:
            new_variable.regularizer = _swapped(regularizer, table)
        if new_variable.trainable != old_variable.trainable:
            new_variable.trainable = old_variable.trainable
    _copy_optimizer(model, new)
    if print_fn is not None:
        print_fn(_report(model, new, table))
    return new


def _counterparts() -> dict[Any, Any]:
    """Returns what stands here for each built-in class and function."""
    table: dict[Any, Any] = {}
    for room, module in _ROOMS.items():
        for name, ours in vars(module).items():
            builtin = getattr(getattr(keras, room), name, None)
            if inspect.isclass(builtin) and inspect.isclass(ours):
                # An alias stands for nothing: `__name__` is another's.
                if issubclass(ours, builtin) and ours.__name__ == name:
                    table[builtin] = ours
            elif inspect.isfunction(builtin) and inspect.isfunction(ours):
                table[builtin] = ours
    return table


def _builtin(config: dict[str, Any]) -> Any:
    """Returns the Keras class or function that a config names, or None."""
    module, name = config.get("module") or "", config["class_name"]
    if module.split(".")[0] != "keras":
        return None
    # PyTorch's optimizers are saved under where Keras has them inside.
    for room in module.split("."):
        if room in _ROOMS:
            return getattr(getattr(keras, room), name, None)
    return None


def _rewrite(config: Any, table: dict[Any, Any]) -> Any:
    """Returns the config with built-ins' names replaced."""
    if isinstance(config, list):
        return [_rewrite(item, table) for item in config]
    if not isinstance(config, dict):
        return config
    new = {key: _rewrite(value, table) for key, value in config.items()}
    if "class_name" not in config or "config" not in config:
        return new
    builtin = _builtin(config)
    if builtin is not None and isinstance(new["config"], dict):
        # Only a built-in's strings are known to be names of activations.
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
    """Replaces names of loss functions, in any structure."""
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
    except ValueError:  # A person's own function.
        return loss
    ours = table.get(builtin)
    return loss if ours is None else keras.losses.serialize(ours)


def _complete_loss(config: Any, loss: Any) -> None:
    """Adds arguments that Keras leaves out of the config: Huber's `delta`."""
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
                while chunk := reader.read(2**20):
                    writer.write(chunk)


@contextlib.contextmanager
def _constructing(table: dict[Any, Any]) -> Iterator[None]:
    """Lets a built-in layer's constructor make the counterpart.

    A model's own constructor makes layers that no config shows. Subclasses
    are left as they are.
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
    # A shared layer comes up once for each place.
    return list({id(x): x for x in model._flatten_layers()}.values())


def _pairs(old: Any, new: Any) -> list[tuple[Any, Any]]:
    return list(zip(_layers(old), _layers(new), strict=True))


def _swapped(value: Any, table: dict[Any, Any]) -> Any:
    """Returns the counterpart of an object or function, or itself."""
    if inspect.isfunction(value):
        return table.get(value, value)
    ours = table.get(type(value))
    return value if ours is None else ours.from_config(value.get_config())


def _swap_attributes(layer: Any, table: dict[Any, Any]) -> None:
    """Swaps what a layer made in its constructor, other than layers."""
    for name, value in list(vars(layer).items()):
        if inspect.isfunction(value) or isinstance(
            value,
            keras.initializers.Initializer | keras.regularizers.Regularizer,
        ):
            swapped = _swapped(value, table)
            if swapped is not value:
                setattr(layer, name, swapped)


def _copy_optimizer(old: Any, new: Any) -> None:
    """Copies state that Keras could not load.

    It builds the new optimizer for what can be trained now, which may not be
    what could be when the old one was built.
    """
    optimizer = getattr(old, "optimizer", None)
    if optimizer is None or new.optimizer is None:
        return
    _copy_exclusions(old, new)
    if not optimizer.built:
        return
    shapes = [
        [v.shape for v in o.variables] for o in (optimizer, new.optimizer)
    ]
    if shapes[0] != shapes[1]:
        pairs = zip(old.variables, new.variables, strict=True)
        of_old = {id(before): after for before, after in pairs}
        config = keras.optimizers.serialize(new.optimizer)
        new.optimizer = keras.optimizers.deserialize(config)
        _copy_exclusions(old, new)
        new.optimizer.build(
            [of_old[id(v)] for v in optimizer._trainable_variables]
        )
    for a, b in zip(optimizer.variables, new.optimizer.variables, strict=True):
        b.assign(keras.ops.copy(a.value))


def _copy_exclusions(old: Any, new: Any) -> None:
    """Copies what is excluded from weight decay, which no config holds."""
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
    """Returns the model's own classes and losses, which may be unregistered."""
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
    """Names the lambda or the class that stands in the way."""
    # Parts before wholes, which fail for their parts.
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
    """Counts the classes and functions of which something is in the model."""
    found: list[Any] = []
    for layer in _layers(model):
        found.append(type(layer))
        if not isinstance(layer, keras.Model):
            for value in vars(layer).values():
                found.append(
                    value if inspect.isfunction(value) else type(value)
                )
    if getattr(model, "compiled", False):
        for loss in keras.tree.flatten(model.loss):
            found.append(loss if inspect.isfunction(loss) else type(loss))
        optimizer = model.optimizer
        found.append(type(getattr(optimizer, "inner_optimizer", optimizer)))
    return Counter(found)


def _report(old: Any, new: Any, table: dict[Any, Any]) -> str:
    """Returns one line for each room of which something was swapped."""
    # What was ours before was not swapped.
    swapped = _components(new) - _components(old)
    lines = []
    for room, module in _ROOMS.items():
        public = {id(thing) for thing in vars(module).values()}
        counts = sorted(
            (thing.__name__, number)
            for thing, number in swapped.items()
            if thing in table.values() and id(thing) in public
        )
        if counts:
            lines.append(f"{room}: " + ", ".join(f"{n} {k}" for k, n in counts))
    return "\n".join(lines) or "nothing to swap"
