"""What callers hear when no stream can be opened: one entry a language, read out by the carrier's voice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """The sentences of one language. `language` and `voice` are `<Say>`'s; no voice means the account's own."""

    language: str
    voice: str | None
    unknown_number: str
    apology: str


DEFAULT_LANGUAGE = "en"

PHRASES: dict[str, Phrases] = {
    "en": Phrases(
        language="en-US",
        voice=None,
        unknown_number=(
            "Hello. The number you have called is not in service. Please check the number and call again. Goodbye."
        ),
        apology=(
            "We are very sorry. Because of a technical problem we can't take your call right now. "
            "Please call again in a few minutes. Goodbye."
        ),
    ),
    "he": Phrases(
        language="he-IL",
        # The carrier's basic voices don't speak Hebrew; Google's do.
        voice="Google.he-IL-Standard-A",
        unknown_number="שלום. המספר שחייגתם אינו מחובר לשירות. אנא בדקו את המספר וחייגו שוב. להתראות.",
        apology=(
            "אנו מתנצלים. בשל תקלה טכנית איננו יכולים לענות לשיחה כעת. אנא התקשרו שוב בעוד מספר דקות. להתראות."
        ),
    ),
}


def phrases_in(language: str) -> Phrases:
    """The sentences of `language` ("he", "en"); of the default language when there are none."""
    return PHRASES.get(language, PHRASES[DEFAULT_LANGUAGE])
