"""Migrations with Alembic. The revisions are in `alembic/`.

Alembic is imported on first use, because server processes do not need it and it takes 9 MB of memory.
"""

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config


def config() -> "Config":
    """Return the configuration from `alembic.ini` in the working directory."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    return Config("alembic.ini")


def upgrade(revision: str = "head") -> None:
    """Apply migrations up to `revision`."""
    _command().upgrade(config(), revision)


def downgrade(revision: str) -> None:
    """Revert migrations down to `revision`."""
    _command().downgrade(config(), revision)


def generate(message: str) -> None:
    """Apply all migrations, then generate a revision from the difference between models and database."""
    upgrade()
    _command().revision(config(), message, autogenerate=True)


def check() -> None:
    """Compare the models with the database.

    Raises:
        CommandError: If they differ, or the database is not up to date.
    """
    _command().check(config())


def _command() -> ModuleType:
    from alembic import command  # noqa: PLC0415 - see above

    return command
