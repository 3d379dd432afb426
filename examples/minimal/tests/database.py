"""Creates the databases of the tests."""

from tests.db.sqlite import LIMITS, create_database

__all__ = ["LIMITS", "create_database"]
