"""How many examples properties are tried on. Not in the root conftest: hypothesis takes its time to import."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=15)
settings.register_profile("deep", max_examples=200)


def load(config: pytest.Config) -> None:
    """With the long tests (`bin/test --all`) properties are tried on many more examples."""
    settings.load_profile("quick" if config.getoption("markexpr") else "deep")
