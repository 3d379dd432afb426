"""Migrations, for the command line and the tests. The revisions are in `alembic/`.

Alembic is imported by whoever migrates: a process that only serves does without it, and without its 9 MB.
"""

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config


def config() -> "Config":
    """Return the configuration: that of `alembic.ini` in the working directory."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    return Config("alembic.ini")


def upgrade(revision: str = "head") -> None:
    """Bring the database up to `revision`."""
    _command().upgrade(config(), revision)


def downgrade(revision: str) -> None:
    """Take the database back to `revision`."""
    _command().downgrade(config(), revision)


def generate(message: str) -> None:
    """Write the revision that makes the database like the models, after bringing it up to date."""
    upgrade()
    _command().revision(config(), message, autogenerate=True)


def check() -> None:
    """Compare the models with the database.

    Raises:
        CommandError: If they differ, or the database is behind.
    """
    _command().check(config())


def _command() -> ModuleType:
    from alembic import command  # noqa: PLC0415 - see above

    return command
