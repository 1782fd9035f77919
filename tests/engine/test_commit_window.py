"""How long a batch of the ledger waits for company, and the inbox in which it gathers."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from executions.engine.claims import ClaimedAtom
from executions.engine.commit_window import CommitWindow
from executions.engine.inbox import Inbox

LONG_S = 30.0


# --- the window ---------------------------------------------------------------------------------------------------------


def test_before_any_call_was_answered_the_wait_is_that_of_a_commit() -> None:
    assert CommitWindow(0.15).seconds() == 0.005


@pytest.mark.parametrize(("call_s", "window_s"), [(0.02, 0.005), (0.2, 0.008), (1.0, 0.04), (20.0, 0.05)])
def test_the_wait_is_a_small_share_of_what_calls_take(call_s: float, window_s: float) -> None:
    window = CommitWindow(0.15)

    for _ in range(3):
        window.note_call(call_s)

    assert window.seconds() == pytest.approx(window_s)


def test_a_bound_of_nothing_is_kept() -> None:
    window = CommitWindow(0.0)
    window.note_call(10.0)

    assert window.seconds() == 0.0


def test_the_wait_follows_the_calls_and_no_single_one_decides() -> None:
    window = CommitWindow(3.0)
    for _ in range(100):
        window.note_call(0.5)
    window.note_call(8.0)
    after_one = window.seconds()
    for _ in range(100):
        window.note_call(8.0)

    assert 0.02 < after_one < 0.05
    assert window.seconds() == pytest.approx(0.04 * 8, rel=0.02)


def test_where_fast_and_slow_models_are_mixed_the_fast_ones_are_not_made_to_wait() -> None:
    window = CommitWindow(3.0)
    # As many of each in flight: in the time of one slow call come 40 fast ones.
    for _ in range(20):
        for _ in range(40):
            window.note_call(0.25)
        window.note_call(10.0)
    for _ in range(10):
        window.note_call(0.25)

    assert window.seconds() < 0.04 * 1.0


EXECUTION, OTHER = uuid.uuid4(), uuid.uuid4()
CALL_S = 1.0


def _atom(chain: int, execution: uuid.UUID = EXECUTION) -> ClaimedAtom:
    return ClaimedAtom(uuid.uuid4(), execution, "a", 1, "me", 1, 1, 0, 0, chain)


def _at_work(*atoms: ClaimedAtom, in_waves: bool = False) -> CommitWindow:
    """Calls take a second, each as long as the others, and these atoms are in flight."""
    window = CommitWindow(0.3)
    for _ in range(3):
        window.note_call(CALL_S)
    for one in atoms:
        window.note_begin(one, in_waves=in_waves)
    window.note_claim((), left_slots=True)
    return window


def test_the_end_of_an_atom_waits_longer_where_longer_chains_are_in_flight() -> None:
    leading, second, last = _atom(5), _atom(4), _atom(1)

    def waits(one: ClaimedAtom) -> float:
        return _at_work(leading, _atom(5), second, last).at_end_s(one)

    assert waits(leading) == pytest.approx(CALL_S / 100)
    assert waits(second) == pytest.approx(CALL_S / 100 + CALL_S / 20)
    # A tenth of a call, however far behind.
    assert waits(last) == pytest.approx(CALL_S / 10)


def test_what_has_ended_is_waited_for_by_nobody() -> None:
    leading, second = _atom(5), _atom(4)
    window = _at_work(leading, second, _atom(1))
    assert window.at_end_s(second) > CALL_S / 20

    window.note_end(leading)
    window.note_end(leading)

    assert window.at_end_s(second) == pytest.approx(CALL_S / 100)


def test_among_many_with_a_chain_as_long_the_end_of_one_has_time_where_calls_differ() -> None:
    many = [_atom(3) for _ in range(29)]
    alike, unlike = _at_work(*many), _at_work(*many)
    for seconds in (0.5, 1.5) * 200:
        unlike.note_call(seconds)

    assert alike.at_end_s(many[0]) == pytest.approx(CALL_S / 100)
    assert unlike.at_end_s(many[0]) > 3 * CALL_S / 100


def test_other_executions_do_not_count() -> None:
    mine, peer = _atom(2), _atom(2)

    assert _at_work(mine, peer, _atom(9, OTHER)).at_end_s(mine) == pytest.approx(CALL_S / 100)


def test_the_last_atom_in_flight_of_its_execution_waits_as_one_that_leads() -> None:
    last = _atom(1)
    window = _at_work(last, _atom(9, OTHER))

    assert window.at_end_s(last) == pytest.approx(CALL_S / 100)


def test_of_a_wave_only_the_last_end_is_waited_for_whatever_hangs_on_the_others_in_later_ones() -> None:
    longest, other = _atom(9), _atom(1)
    window = _at_work(longest, other, in_waves=True)

    assert window.at_end_s(longest) == window.at_end_s(other) == pytest.approx(CALL_S / 10)
    window.note_end(longest)
    assert window.at_end_s(other) == pytest.approx(CALL_S / 100)


def test_where_atoms_of_an_execution_wait_for_a_slot_its_ends_wait_as_everything_else() -> None:
    mine, yours = _atom(1), _atom(1, OTHER)
    window = _at_work(mine, _atom(9), yours, _atom(9, OTHER))

    # At its own limit: nobody else's end makes room for it.
    window.note_claim([EXECUTION], left_slots=True)
    assert window.at_end_s(mine) == window.seconds() == pytest.approx(0.04 * CALL_S)
    assert window.at_end_s(yours) == pytest.approx(CALL_S / 10)
    # At the runner's or at all executions' limit.
    window.note_claim([EXECUTION], left_slots=False)
    assert window.at_end_s(yours) == window.seconds()
    # All slots are taken, and nobody waits for one.
    window.note_claim((), left_slots=False)
    assert window.at_end_s(mine) == window.at_end_s(yours) == pytest.approx(CALL_S / 10)


def test_of_what_is_not_in_flight_nothing_is_known() -> None:
    assert _at_work(_atom(9)).at_end_s(_atom(1)) == pytest.approx(0.04 * CALL_S)


def test_long_calls_make_nothing_wait_longer_than_the_bound() -> None:
    leading, last = _atom(5), _atom(1)

    def window() -> CommitWindow:
        made = _at_work(leading, _atom(5), last)
        for _ in range(100):
            made.note_call(60.0)
        return made

    assert window().seconds() == pytest.approx(0.1)
    assert window().at_end_s(leading) == pytest.approx(0.1, rel=0.05)
    assert window().at_end_s(last) == pytest.approx(0.3)


# --- the inbox ----------------------------------------------------------------------------------------------------------


def _in_thread(work: Callable[[], None]) -> tuple[threading.Thread, threading.Event]:
    done = threading.Event()

    def run() -> None:
        work()
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, done


def test_who_waits_for_several_sleeps_until_all_of_them_are_there() -> None:
    inbox: Inbox[int] = Inbox()
    _, woken = _in_thread(lambda: inbox.wait_until_due(3))

    inbox.put(1)
    inbox.put(2)
    assert not woken.wait(0.2)
    inbox.put(3)

    assert woken.wait(LONG_S / 2)
    assert inbox.take() == [1, 2, 3]


def test_something_urgent_ends_the_wait() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    _, woken = _in_thread(lambda: inbox.wait_until_due(100))
    assert not woken.wait(0.1)

    inbox.put(2, urgent=True)

    assert woken.wait(LONG_S / 2)


def test_what_was_urgent_before_the_wait_began_counts_until_it_is_taken() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, urgent=True)
    began = time.monotonic()
    inbox.wait_until_due(100)
    assert time.monotonic() - began < LONG_S / 2

    inbox.take()
    _, woken = _in_thread(lambda: inbox.wait_for_any())
    assert not woken.wait(0.1)
    inbox.put(2)
    assert woken.wait(LONG_S / 2)


def test_what_may_wait_less_long_shortens_the_wait_of_all() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, within_s=LONG_S)
    _, woken = _in_thread(lambda: inbox.wait_until_due(100))
    assert not woken.wait(0.1)

    inbox.put(2, within_s=2.0)
    inbox.put(3, within_s=LONG_S)

    assert not woken.wait(0.05)
    assert woken.wait(LONG_S / 2)
    assert inbox.take() == [1, 2, 3]


def test_only_what_counts_is_enough() -> None:
    inbox: Inbox[int] = Inbox()
    _, woken = _in_thread(lambda: inbox.wait_until_due(2))

    inbox.put(1)
    inbox.put(2, counts=False)
    assert not woken.wait(0.1)
    inbox.put(3)

    assert woken.wait(LONG_S / 2)
    assert inbox.counted == 2
    inbox.take(1)
    assert inbox.counted == 1


def test_what_was_left_behind_is_due() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, within_s=LONG_S)
    inbox.put(2, within_s=LONG_S)
    inbox.take(1)

    _, woken = _in_thread(lambda: inbox.wait_until_due(100))

    assert woken.wait(LONG_S / 2)
    inbox.take()
    inbox.put(3, within_s=LONG_S)
    _, woken = _in_thread(lambda: inbox.wait_until_due(100))
    assert not woken.wait(0.1)
    inbox.hurry()


def test_the_end_wakes_who_waits_and_what_is_there_can_still_be_taken() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    _, woken = _in_thread(lambda: inbox.wait_until_due(100))

    inbox.close()

    assert woken.wait(LONG_S / 2)
    assert inbox.is_closed
    assert inbox.take() == [1]
    assert inbox.take() == []


def test_at_most_so_many_are_taken_and_the_rest_stays_in_order() -> None:
    inbox: Inbox[int] = Inbox()
    for one in range(5):
        inbox.put(one)

    assert inbox.take(2) == [0, 1]
    assert len(inbox) == 3
    assert inbox.take() == [2, 3, 4]


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads take turns after nearly every step."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("urgent", [False, True])
def test_nobody_sleeps_while_enough_is_there(together: int, urgent: bool) -> None:
    """Again and again the last that is waited for comes while the reader is about to sleep; no other would wake him."""
    inbox: Inbox[int] = Inbox()
    rounds, seen = 3_000, threading.Semaphore(0)

    def read() -> None:
        while not inbox.is_closed:
            inbox.wait_for_any()
            inbox.wait_until_due(together)
            for _ in inbox.take():
                seen.release()

    reader, done = _in_thread(read)
    for number in range(rounds):
        for one in range(together):
            inbox.put(one, urgent=urgent)
        for _ in range(together):
            assert seen.acquire(timeout=LONG_S / 2), number
    inbox.close()

    assert done.wait(LONG_S)
    reader.join()


def test_nothing_is_lost_among_many_threads_and_each_keeps_its_order() -> None:
    inbox: Inbox[int] = Inbox()
    taken: list[int] = []

    def drain() -> None:
        while not inbox.is_closed or len(inbox):
            inbox.wait_for_any()
            inbox.wait_until_due(7)
            taken.extend(inbox.take(50))

    def put(first: int) -> None:
        for one in range(2_000):
            inbox.put(first + one, within_s=0.001)

    reader, done = _in_thread(drain)
    writers = [threading.Thread(target=put, args=(first,)) for first in range(0, 8_000, 2_000)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    inbox.close()

    assert done.wait(LONG_S)
    reader.join()
    assert len(taken) == 8_000
    for first in range(0, 8_000, 2_000):
        assert [one for one in taken if first <= one < first + 2_000] == list(range(first, first + 2_000))
