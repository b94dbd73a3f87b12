"""This suite has properties."""

from __future__ import annotations

import pytest

from tests import profiles


def pytest_configure(config: pytest.Config) -> None:
    """A few examples, or many."""
    profiles.load(config)
