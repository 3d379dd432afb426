"""Creates the databases of the tests."""

from tests.db.sqlite import create_database

__all__ = ["create_database"]
