"""Migrations, for the command line and the tests. The revisions are in `alembic/`."""

from alembic import command
from alembic.config import Config


def config() -> Config:
    """Return the configuration: that of `alembic.ini` in the working directory."""
    return Config("alembic.ini")


def upgrade(revision: str = "head") -> None:
    """Bring the database up to `revision`."""
    command.upgrade(config(), revision)


def downgrade(revision: str) -> None:
    """Take the database back to `revision`."""
    command.downgrade(config(), revision)


def generate(message: str) -> None:
    """Write the revision that makes the database like the models, after bringing it up to date."""
    upgrade()
    command.revision(config(), message, autogenerate=True)


def check() -> None:
    """Compare the models with the database.

    Raises:
        CommandError: If they differ, or the database is behind.
    """
    command.check(config())
