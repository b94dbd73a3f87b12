"""A business that keeps no transcripts: nothing that was said reaches the database."""

from __future__ import annotations

from sqlalchemy import Engine, text

from app.domain.calls import TimelineEntry
from app.services import Services
from tests.factories import SomeBusiness, as_tenant, incoming_call

SAID = TimelineEntry(10, "caller_turn", {"text": "My name is Dana", "until_ms": 900, "noise": False})
LEFT = TimelineEntry(10, "caller_turn", {"until_ms": 900, "noise": False})


def run(engine: Engine, business: SomeBusiness, statement: str) -> None:
    with as_tenant(engine, business.id) as connection:
        assert connection.execute(text(statement)).rowcount == 1


def test_without_kept_transcripts_no_word_is_stored(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """From the moment of the setting on; the measures stay."""
    call_id = services.calls.accept_call(incoming_call(business)).call_id
    services.calls.append_timeline(business.id, call_id, [SAID])
    run(engine, business, "UPDATE businesses SET transcripts_kept = false")
    services.calls.append_timeline(business.id, call_id, [SAID])
    assert services.call_log.get_call(business.id, call_id).timeline == (SAID, LEFT)


def test_a_call_whose_words_were_erased_gets_no_new_ones(
    services: Services, engine: Engine, business: SomeBusiness
) -> None:
    """Whoever is erased while on the phone is not written down again."""
    call_id = services.calls.accept_call(incoming_call(business)).call_id
    run(engine, business, "UPDATE calls SET transcript_erased_at = now()")
    services.calls.append_timeline(business.id, call_id, [SAID])
    assert services.call_log.get_call(business.id, call_id).timeline == (LEFT,)
