"""The commands `users create-admin` and `remove-admin`."""

from collections.abc import AsyncGenerator

import pytest
from httpx2 import AsyncClient
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from typer.testing import Result

from app.db.session import Database, transaction
from app.modules.auth.models import Role, UserRole
from app.modules.user.models import User
from tests.command_line import run_command


@pytest.fixture
async def read_session(committing_client: AsyncClient, committing_database: Database) -> AsyncGenerator[AsyncSession]:
    """A session that sees what the command has committed; `committing_client` deletes it afterwards."""
    async with transaction(committing_database.read_transaction) as session:
        yield session


def run(*arguments: str) -> Result:
    return run_command("users", *arguments)


async def test_create_admin_is_idempotent(read_session: AsyncSession) -> None:
    for email in ("Ada@Example.com", "ada@example.com"):
        result = run("create-admin", email, "--name", "Ada")
        assert (result.exit_code, result.output.splitlines()[-1]) == (0, "ada@example.com is an administrator")

    user = (await read_session.exec(select(User))).one()
    assert (user.email, user.name) == ("ada@example.com", "Ada")
    role = (await read_session.exec(select(UserRole))).one()
    assert (role.user_id, role.role) == (user.id, Role.ADMIN)


@pytest.mark.parametrize(("arguments", "field"), [(("ada",), "EMAIL"), (("ada@example.com", "--name", ""), "--name")])
def test_create_admin_explains_invalid_arguments(arguments: tuple[str, ...], field: str) -> None:
    result = run("create-admin", *arguments)

    assert result.exit_code == 2
    assert f"Invalid {field}: " in result.output


async def test_remove_admin_revokes_the_role(read_session: AsyncSession) -> None:
    run("create-admin", "ada@example.com")
    result = run("remove-admin", "ada@example.com")

    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "ada@example.com is no longer an administrator")
    assert (await read_session.exec(select(UserRole))).all() == []
    unknown = run("remove-admin", "bob@example.com")
    assert (unknown.exit_code, unknown.output.splitlines()[-1]) == (1, "No user with the address bob@example.com.")
