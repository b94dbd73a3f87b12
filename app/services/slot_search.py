"""Which free starts to offer to somebody who would like a day, a time, both or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, repeat

from sqlalchemy.orm import Session

from app.domain.appointments import DayAvailability, FindSlots, FreeSlot, SlotSearch
from app.domain.availability import Refusal, free_slots
from app.services.busy_times import BusyTimes, decide, read_busy
from app.services.calendars import Bookable, Rules
from app.services.day_reasons import DayReasons

ONE_DAY = timedelta(days=1)
CHUNK_DAYS = 31
# How far ahead a search goes where the policy sets no booking window.
HORIZON_DAYS = 366


class SlotFinder:
    """Answers one wish, in one transaction, at one instant."""

    def __init__(self, session: Session, rules: Rules, now: datetime) -> None:
        self._session = session
        self._now = now
        self._rules = rules
        self._today = rules.day_of(now)

    @property
    def timezone(self) -> str:
        """The business's IANA zone."""
        return self._rules.zone.key

    def search(self, wish: FindSlots) -> SlotSearch:
        """The offers for a wish that `Scheduling` has checked."""
        if wish.day is None:
            return self._on_any_day(wish.at, wish.limit)
        if wish.at is None:
            return self._on_day(wish.day, wish.limit)
        return self._at(wish.day, wish.at, wish.limit)

    def by_day(self, first: date, last: date) -> tuple[DayAvailability, ...]:
        """Every free start of each local date, or why it has none."""
        busy = self._busy(first, last)
        found: dict[date, list[FreeSlot]] = {
            first + timedelta(days=number): [] for number in range((last - first).days + 1)
        }
        for slot in self._offered(busy, first, last):
            found[slot.starts_at.date()].append(slot)
        reasons = DayReasons(busy, first, last, self._now)
        return tuple(_described(day, slots, reasons) for day, slots in found.items())

    def _on_any_day(self, at: time | None, limit: int) -> SlotSearch:
        fitting = list(islice(self._from(self._today, lambda slot: at in (None, _wall(slot))), limit))
        if fitting:
            return SlotSearch(tuple(fitting))
        if at is None:
            return SlotSearch((), self._why_not_on(self._today))
        day = self._today if self._instant(self._today, at) > self._now else self._today + ONE_DAY
        others = tuple(islice(self._from(self._today), limit))
        return SlotSearch(others, self._why_not(self._instant(day, at)))

    def _on_day(self, day: date, limit: int) -> SlotSearch:
        if slots := self._between(day, day):
            return SlotSearch(tuple(slots[:limit]))
        return SlotSearch(tuple(self._after(day, limit)), self._why_not_on(day))

    def _at(self, day: date, at: time, limit: int) -> SlotSearch:
        wanted = self._instant(day, at)
        slots = self._between(day, day)
        exact = [slot for slot in slots if _wall(slot) == at][:1]
        others = sorted(
            (slot for slot in slots if slot not in exact),
            key=lambda slot: (abs(slot.starts_at - wanted), slot.starts_at),
        )
        offers = [*exact, *others][:limit]
        if exact:
            return SlotSearch(tuple(offers))
        if len(offers) < limit:
            offers += self._after(day, limit - len(offers))
        return SlotSearch(tuple(offers), self._why_not(wanted))

    def _after(self, day: date, limit: int) -> list[FreeSlot]:
        """The next free starts after a day. Beyond the booking window there are none: then the soonest of all."""
        later = list(islice(self._from(max(day + ONE_DAY, self._today)), limit))
        if later or day <= self._today:
            return later
        return list(islice(self._from(self._today, lambda slot: self._rules.day_of(slot.starts_at) != day), limit))

    def _from(self, day: date, fits: Callable[[FreeSlot], bool] = lambda _: True) -> Iterator[FreeSlot]:
        """Free starts from `day` on, read from the database only as far as they are asked for."""
        last = max(map(self._last_day, self._rules.bookables, repeat(day)), default=day - ONE_DAY)
        while day <= last:
            until = min(day + timedelta(days=CHUNK_DAYS - 1), last)
            yield from (slot for slot in self._between(day, until) if fits(slot))
            day = until + ONE_DAY

    def _last_day(self, bookable: Bookable, first: date) -> date:
        window = bookable.policy.booking_window_days
        if window is not None:
            return self._today + timedelta(days=window)
        return first + timedelta(days=HORIZON_DAYS)

    def _busy(self, first: date, last: date) -> BusyTimes:
        return read_busy(self._session, self._rules, first, last, self._now)

    def _between(self, first: date, last: date) -> list[FreeSlot]:
        return self._offered(self._busy(first, last), first, last)

    def _offered(self, busy: BusyTimes, first: date, last: date) -> list[FreeSlot]:
        """The union over the resources, each start with the resource that a booking would choose."""
        chosen: dict[datetime, FreeSlot] = {}
        for bookable in self._rules.bookables:
            for slot in free_slots(bookable.policy, busy.of(bookable), first, last, self._now):
                rival = chosen.get(slot.starts_at)
                if rival is None or self._prefers(busy, bookable, rival):
                    chosen[slot.starts_at] = FreeSlot(slot.starts_at, slot.ends_at, bookable.resource_id)
        return [chosen[starts_at] for starts_at in sorted(chosen)]

    def _prefers(self, busy: BusyTimes, bookable: Bookable, rival: FreeSlot) -> bool:
        day = self._rules.day_of(rival.starts_at)
        return busy.preference(bookable.resource_id, day) < busy.preference(rival.resource_id, day)

    def _why_not(self, starts_at: datetime) -> str | None:
        day = self._rules.day_of(starts_at)
        answer = decide(self._rules.bookables, self._busy(day, day), starts_at, self._now)
        return answer.code if isinstance(answer, Refusal) else None

    def _why_not_on(self, day: date) -> str:
        return DayReasons(self._busy(day, day), day, day, self._now).of(day).code

    def _instant(self, day: date, at: time) -> datetime:
        """The first instant with this wall time; in a gap, with the offset before it (PEP 495, fold 0)."""
        return datetime.combine(day, at.replace(fold=0), self._rules.zone).astimezone(UTC)


def _wall(slot: FreeSlot) -> time:
    return slot.starts_at.time()


def _described(day: date, slots: list[FreeSlot], reasons: DayReasons) -> DayAvailability:
    if slots:
        return DayAvailability(day, tuple(slots))
    refusal = reasons.of(day)
    return DayAvailability(day, (), refusal.code, refusal.message)
