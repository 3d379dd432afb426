"""Creates the databases of the tests."""

from tests.db.postgres import LIMITS, create_database

__all__ = ["LIMITS", "create_database"]
