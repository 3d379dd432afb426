"""The configured database. All other code imports from here and does not depend on the database."""

from app.db.sqlite import (
    DatabaseSettings,
    constraint_name,
    database_url,
    is_unavailable,
    migration_engine,
    open_database,
)

__all__ = [
    "DatabaseSettings",
    "constraint_name",
    "database_url",
    "is_unavailable",
    "migration_engine",
    "open_database",
]
