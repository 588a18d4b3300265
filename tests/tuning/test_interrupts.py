import contextlib
import signal

import pytest

from keras_ext.cli.search.interrupts import kept_until_the_end


@pytest.fixture(autouse=True)
def usual_handler():
    """Python's own, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_swallowed_interrupt_comes_back():
    reached = False
    with pytest.raises(KeyboardInterrupt), kept_until_the_end():
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_interrupts():
    reached = False
    with pytest.raises(KeyboardInterrupt), kept_until_the_end():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert not reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
