"""Public holidays of a country, from the `holidays` library."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

import holidays

from app.errors import InvalidInput

EVES_OF = frozenset({"IL"})
"""The countries whose holidays begin on the evening before, so that their eves are half working days."""

_EVE_NAMES = {"he": "ערב {}", "en": "Eve of {}"}


@cache
def countries() -> frozenset[str]:
    """ISO 3166 codes of the countries whose holidays are known."""
    return frozenset(holidays.list_supported_countries(include_aliases=False))


def public_holidays(
    country: str, subdivision: str | None, first: date, last: date, language: str
) -> dict[date, str]:
    """The public holidays of these dates by name, in `language` or else in the country's own.

    Raises InvalidInput for a country or subdivision that the library does not know.
    """
    if country not in countries():
        raise InvalidInput("country", "its holidays are not known")
    kind = getattr(holidays, country)
    if subdivision is not None and subdivision not in kind.subdivisions:
        raise InvalidInput("subdivision", f"must be one of {', '.join(kind.subdivisions) or 'none'}")
    with warnings.catch_warnings():
        # The library warns of years that it knows only in part.
        warnings.simplefilter("ignore")
        found = holidays.country_holidays(
            country,
            subdiv=subdivision,
            years=range(first.year, last.year + 1),
            language=_language(kind.supported_languages, country, language) or kind.default_language,
        )
    return {day: name[:200] for day, name in sorted(found.items()) if first <= day <= last}


def eves(days: dict[date, str], language: str) -> Iterator[tuple[date, str]]:
    """The days before, unless they are holidays themselves."""
    for day, name in days.items():
        eve = day - timedelta(days=1)
        if eve not in days:
            yield eve, _EVE_NAMES[language].format(name)[:200]


def _language(supported: tuple[str, ...], country: str, language: str) -> str | None:
    """The library's name of a language: with this country, or with any; None: not at all."""
    fitting = [name for name in supported if name.split("_")[0] == language]
    exact = f"{language}_{country}"
    return exact if exact in fitting else next(iter(fitting), None)
