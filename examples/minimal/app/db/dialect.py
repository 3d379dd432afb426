"""Which database this is. Everything else asks here, so nothing else has to know."""

from sqlalchemy.dialects.sqlite import insert

from app.db.sqlite import DatabaseSettings, constraint_name, database_url, migration_engine, open_database

__all__ = ["DatabaseSettings", "constraint_name", "database_url", "insert", "migration_engine", "open_database"]
