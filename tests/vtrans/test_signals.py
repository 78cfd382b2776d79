"""Ctrl-C and SIGTERM: who takes them, and that whoever had them before has them back."""

import signal
import threading

import pytest

from vtrans.signals import handled_by, interrupting, note

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


def test_a_second_sigterm_is_let_go_and_a_second_ctrl_c_is_not():
    with interrupting():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        let_go(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_of_inner_contexts_count_for_the_outer_one_and_not_for_the_next():
    with interrupting():
        with pytest.raises(KeyboardInterrupt), interrupting():
            signal.raise_signal(signal.SIGTERM)
        let_go(signal.SIGTERM)  # a record is written here
    with interrupting(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_another_handler_took_counts():
    with interrupting():
        with handled_by(lambda number, frame: note(number)):
            signal.raise_signal(signal.SIGTERM)
            with interrupting():  # as where a teacher's outputs are computed in training
                let_go(signal.SIGTERM)
        let_go(signal.SIGTERM)


def test_a_thread_that_signals_do_not_reach_goes_on_without():
    seen = []

    def work():
        with handled_by(lambda number, frame: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
