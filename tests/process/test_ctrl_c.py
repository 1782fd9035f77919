"""A person who presses Ctrl-C is heard, wherever the program is at that moment."""

from __future__ import annotations

import signal
import weakref

import pytest

from executions.management.ctrl_c import CtrlC


class Thing:
    """Something that can be finalized."""


def press(ctrl_c: CtrlC) -> None:
    ctrl_c.handle(signal.SIGINT, None)


def test_what_is_pressed_while_something_is_finalized_is_heard_at_the_next_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ctrl_c, thing = CtrlC(), Thing()
    weakref.finalize(thing, press, ctrl_c)
    with ctrl_c.waiting():
        del thing
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.sleep(0)
        ctrl_c.sleep(0)
    assert capsys.readouterr().err == ""


def test_who_presses_again_before_the_next_look_need_not_wait_for_it() -> None:
    ctrl_c = CtrlC()
    with ctrl_c.waiting():
        press(ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            press(ctrl_c)
        ctrl_c.sleep(0)


def test_outside_of_waiting_it_is_raised_at_once() -> None:
    ctrl_c = CtrlC()
    with pytest.raises(KeyboardInterrupt):
        press(ctrl_c)
    with ctrl_c.waiting():
        ctrl_c.sleep(0)


def test_both_signals_are_taken_and_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ctrl_c = CtrlC()
    with ctrl_c.taken():
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == (
            ctrl_c.handle,
            ctrl_c.handle,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            with ctrl_c.waiting():
                signal.raise_signal(number)
                with pytest.raises(KeyboardInterrupt):
                    ctrl_c.sleep(0)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
