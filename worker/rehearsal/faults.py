"""What a scripted session does wrong on purpose. Plain data; the protocol half looks here before it acts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """Nothing wrong."""


NO_FAULTS = Faults()
