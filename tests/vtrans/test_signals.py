"""Ctrl-C and SIGTERM: who takes them, and that whoever had them before has them back."""

import signal
import threading

import pytest

from vtrans.errors import RunCancelled
from vtrans.signals import cancelling, ending, handled_by, interrupting

BOTH = [signal.SIGINT, signal.SIGTERM]


def let_go(number):
    """A signal that must not interrupt, which would end all tests."""
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        pytest.fail("it interrupted")


@pytest.mark.parametrize("number", BOTH)
def test_both_interrupt_and_go_back_to_who_had_them(number):
    before = [signal.getsignal(each) for each in BOTH]
    with pytest.raises(KeyboardInterrupt), interrupting():
        signal.raise_signal(number)
    assert [signal.getsignal(each) for each in BOTH] == before
    with pytest.raises(RunCancelled), cancelling():
        signal.raise_signal(number)


def test_one_that_was_lost_does_not_keep_the_next_from_interrupting():
    with interrupting():
        for _ in range(2):  # Python itself drops what is raised in a destructor
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", BOTH)
def test_what_ends_is_written_first_and_then_what_lies_around_it_is_interrupted(number):
    written = []
    with pytest.raises(KeyboardInterrupt), interrupting():
        with interrupting():
            ending()
            let_go(number)
            written.append("record")
        pytest.fail("the signal was lost")
    assert written == ["record"]
    with interrupting():  # it counts for nothing that begins later
        pass


@pytest.mark.parametrize(
    ("error", "raised"), [(ValueError("broken"), KeyboardInterrupt), (RunCancelled("stopped", "go on"), RunCancelled)]
)
def test_a_signal_is_heard_after_an_error_that_was_being_written_down(error, raised):
    with pytest.raises(raised), interrupting():
        try:
            raise error
        finally:
            ending()
            let_go(signal.SIGTERM)
    with interrupting(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_ending_is_of_the_innermost_alone():
    with interrupting():
        with interrupting():
            ending()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_threads_that_signals_do_not_reach_leave_them_alone():
    seen = []

    def work():
        with handled_by(lambda number, frame: None), interrupting():
            ending()
            seen.append(signal.getsignal(signal.SIGTERM))

    with interrupting():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [signal.getsignal(signal.SIGTERM)]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
