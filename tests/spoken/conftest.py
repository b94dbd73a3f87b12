"""The spoken call uses the integration suite's database."""

from tests.integration.conftest import database_url, migrated_template, new_database, server

__all__ = ["database_url", "migrated_template", "new_database", "server"]
