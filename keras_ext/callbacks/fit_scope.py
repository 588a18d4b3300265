"""Finding the other callbacks of the running `fit`."""

import sys
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import keras

# The list is 2 frames away, or more if a callback wraps callbacks.
_MAX_FRAMES = 20


def current_callback_list() -> keras.callbacks.CallbackList | None:
    """Return the `CallbackList` that is calling, or `None`.

    Keras gives a callback its model and the parameters of `fit`, but not the
    other callbacks. Monitors need these to share one tap, and to keep the
    progress bar readable. The function searches the `self` of its callers, so
    it works in a callback method that Keras calls, such as `on_train_begin`.
    """
    frame: types.FrameType | None = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return None
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList):
            return caller
        frame = frame.f_back
    return None


def before_each_step(
    callback_list: keras.callbacks.CallbackList, hook: Callable[[], None]
) -> None:
    """Call `hook` before each training step, behind all callbacks.

    The step begins after the hook: no exception of a callback comes between
    them. The list lives for one `fit`, so the change ends with it. A list that
    is used again calls its last hook only.
    """
    attributes = vars(callback_list)
    before = attributes.get("on_train_batch_begin")
    if isinstance(before, _Hooked):
        before = before.method()
    method: Callable[[], Any] = lambda: before  # noqa: E731
    if isinstance(before, types.MethodType) or before is None:
        # A cycle would keep the list alive when `fit` is over.
        method = weakref.WeakMethod(
            before or callback_list.on_train_batch_begin
        )
    attributes["on_train_batch_begin"] = _Hooked(method, hook)


class _Hooked:
    """A method, given by a function that returns it, and a hook behind it."""

    def __init__(self, method: Callable[[], Any], hook: Callable[[], None]):
        self.method = method
        self.hook = hook

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.method()(*args, **kwargs)
        self.hook()


def fill_history(
    callback_list: keras.callbacks.CallbackList, epoch: int, keys: Iterable[str]
) -> None:
    """Let Keras's history have NaN for the epochs before the first of keys."""
    for callback in callback_list.callbacks:
        if isinstance(callback, keras.callbacks.History):
            before = [e for e in callback.epoch if e != epoch]
            for key in keys if before else ():
                values = callback.history.setdefault(key, [])
                values[:0] = [float("nan")] * (len(before) - len(values))


def keep_off_progress_bar(
    callback_list: keras.callbacks.CallbackList,
    is_hidden: Callable[[str], bool],
) -> None:
    """Hide keys of the logs from the progress bar, not from other callbacks.

    A `ProgbarLogger` lives for one `fit`, so the change ends with it.
    """
    for callback in callback_list.callbacks:
        if isinstance(callback, keras.callbacks.ProgbarLogger):
            _filter_epoch_logs(callback, is_hidden)


def _filter_epoch_logs(
    progress: keras.callbacks.ProgbarLogger, is_hidden: Callable[[str], bool]
) -> None:
    if "on_epoch_end" in vars(progress):
        return
    on_epoch_end = progress.on_epoch_end

    def on_epoch_end_filtered(
        epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        shown = {k: v for k, v in (logs or {}).items() if not is_hidden(k)}
        on_epoch_end(epoch, shown)

    vars(progress)["on_epoch_end"] = on_epoch_end_filtered
