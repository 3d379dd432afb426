"""Migrations with Alembic. The revisions are in `alembic/`.

Alembic is imported on first use, because server processes do not need it and it takes 9 MB of memory.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic.config import Config


class MigrationError(Exception):
    """Alembic cannot run the command."""


def config() -> "Config":
    """Return the configuration from `alembic.ini` in the working directory."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    return Config("alembic.ini")


def upgrade(revision: str = "head") -> None:
    """Apply migrations up to `revision`."""
    _run("upgrade", revision)


def downgrade(revision: str) -> None:
    """Revert migrations down to `revision`."""
    _run("downgrade", revision)


def generate(message: str) -> None:
    """Apply all migrations, then generate a revision from the difference between models and database."""
    upgrade()
    _run("revision", message, autogenerate=True)


def check() -> None:
    """Compare the models with the database.

    Raises:
        MigrationError: If they differ, or the database is not up to date.
    """
    _run("check")


def _run(name: str, *arguments: str, **options: Any) -> None:
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        getattr(command, name)(config(), *arguments, **options)
    except CommandError as error:
        unknown = re.fullmatch("Can't locate revision identified by ('.*')", str(error))
        raise MigrationError(f"There is no revision {unknown[1]}." if unknown else str(error)) from error
