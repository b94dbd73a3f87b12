"""Lists of half-open stretches of time `[begin, end)`, in whole microseconds since 1970 UTC.

Integers, because two aware datetimes of one zone compare by wall clock, which is wrong in a repeated hour
(PEP 495). A list called `Spans` is sorted and its members neither overlap nor touch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import timedelta

Span = tuple[int, int]
Spans = list[Span]

MICROSECONDS_PER_MINUTE = 60_000_000
FOREVER = 10**18

_MICROSECOND = timedelta(microseconds=1)


def merge(spans: Iterable[Span]) -> Spans:
    """The union of `spans`, in any order; touching ones become one, empty ones vanish."""
    merged: Spans = []
    for begin, end in sorted(spans):
        if begin >= end:
            continue
        if merged and begin <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def subtract(spans: Spans, removed: Spans) -> Spans:
    """What is in `spans` and not in `removed`."""
    left: Spans = []
    index = 0
    for begin, end in spans:
        while index < len(removed) and removed[index][1] <= begin:
            index += 1
        following = index
        while following < len(removed) and removed[following][0] < end:
            if removed[following][0] > begin:
                left.append((begin, removed[following][0]))
            begin = removed[following][1]
            following += 1
        if begin < end:
            left.append((begin, end))
    return left


def contains(spans: Spans, instant: int) -> bool:
    """Whether one of `spans` holds `instant`."""
    index = bisect_right(spans, (instant, FOREVER)) - 1
    return index >= 0 and instant < spans[index][1]


def crowded(begins: list[timedelta], ends: list[timedelta], depth: int) -> Spans:
    """Where at least `depth` of the stretches `(begins[i], ends[i])`, since 1970 UTC, overlap. Sorts both lists.

    Every stretch must be longer than nothing. Which end belongs to which begin does not matter here.
    """
    begins.sort()
    ends.sort()
    found: list[tuple[timedelta, timedelta]] = []
    since = timedelta()
    open_now = ended = 0
    for begin in begins:
        while ends[ended] <= begin:
            if open_now == depth:
                found.append((since, ends[ended]))
            open_now -= 1
            ended += 1
        open_now += 1
        if open_now == depth:
            since = begin
    for end in ends[ended:]:
        if open_now == depth:
            found.append((since, end))
        open_now -= 1
    return merge((begin // _MICROSECOND, end // _MICROSECOND) for begin, end in found)
