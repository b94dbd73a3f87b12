"""The gate before the connections: as many at once as there are places, in the order in which they came."""

from __future__ import annotations

import threading

import pytest

from app.adapters.fair_gate import FairGate, GateTimeout

PATIENCE_S = 20


def wait_in_line(gate: FairGate, length: int) -> None:
    """Until so many stand in the line."""
    while len(gate._line) < length:
        threading.Event().wait(0.001)


def test_places_are_given_in_the_order_of_asking() -> None:
    """Whoever leaves and asks again stands behind everybody who waits."""
    gate, order, threads = FairGate(1, PATIENCE_S), [], []

    def work(name: int) -> None:
        with gate.place():
            order.append(name)

    with gate.place():
        for name in range(20):
            threads.append(threading.Thread(target=work, args=(name,)))
            threads[-1].start()
            wait_in_line(gate, name + 1)
    work(20)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == list(range(21))


def test_no_more_are_in_than_there_are_places() -> None:
    """Counted inside, from many threads."""
    gate, inside, most, lock = FairGate(3, PATIENCE_S), 0, [0], threading.Lock()

    def work() -> None:
        nonlocal inside
        for _ in range(50):
            with gate.place():
                with lock:
                    inside += 1
                    most[0] = max(most[0], inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert inside == 0
    assert 1 <= most[0] <= 3
    assert (gate._free, len(gate._line)) == (3, 0)


def test_whoever_waits_too_long_is_told_and_leaves_the_line() -> None:
    """And its place in the line is nobody's: the next gets in."""
    gate = FairGate(1, 0.01)
    with gate.place():
        with pytest.raises(GateTimeout), gate.place():
            pass
        assert len(gate._line) == 0
    with gate.place():
        pass


def test_a_place_that_came_too_late_is_passed_on() -> None:
    """Given to somebody who has just given up, it goes to the next, not to nobody."""
    gate = FairGate(1, PATIENCE_S)
    with gate.place():
        late = threading.Event()
        gate._line.append(late)
    assert late.is_set()
    gate._give_up(late)
    assert gate._free == 1


def test_an_error_inside_frees_the_place() -> None:
    """Whatever it was."""
    gate = FairGate(1, PATIENCE_S)
    with pytest.raises(KeyError), gate.place():
        raise KeyError
    assert gate._free == 1
