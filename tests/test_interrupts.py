import contextlib
import signal

import pytest

from keras_ext._interrupts import InterruptGuard


@pytest.fixture(autouse=True)
def usual_handler():
    """Python's own, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Swallows:
    """Presses Ctrl-C in its destructor, where Python drops exceptions."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_swallowed_interrupt_is_raised_at_the_next_check():
    with InterruptGuard() as guard:
        guard.check()
        Swallows()
        with pytest.raises(KeyboardInterrupt):
            guard.check()
        guard.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_interrupts_and_the_handler_is_given_back():
    with pytest.raises(KeyboardInterrupt), InterruptGuard():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_swallowed_interrupt_is_raised_at_the_end():
    reached = False
    with pytest.raises(KeyboardInterrupt), InterruptGuard():
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_raised_once():
    guard = InterruptGuard()
    with pytest.raises(KeyboardInterrupt), guard:
        signal.raise_signal(signal.SIGINT)
    with guard:
        guard.check()


def test_a_handler_of_somebody_else_is_left_alone():
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        with InterruptGuard():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [1]
