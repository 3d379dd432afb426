"""Creates the databases of the tests."""

from tests.db.postgres import create_database

__all__ = ["create_database"]
