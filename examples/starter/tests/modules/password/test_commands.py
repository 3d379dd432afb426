"""The commands `users create-admin` and `remove-admin`."""

import asyncio
from collections.abc import Generator

import pytest
import typer
from sqlmodel import select
from typer.testing import Result

from app.core.config import load
from app.db import dialect
from app.db.base import Base
from app.db.session import transaction
from app.modules.auth.models import Role, UserRole
from app.modules.password.models import PasswordHash
from app.modules.user.models import User
from app.modules.user.schemas import UserCreate
from app.modules.user.service import UserService
from tests.command_line import run_command
from tests.conftest import run_in_thread

EMAIL, PASSWORD = "ada@example.com", "orbit-walnut-teapot-47"


@pytest.fixture(autouse=True)
def _delete_rows() -> Generator[None]:
    yield
    run_in_thread(asyncio.run, delete_all_rows())


async def delete_all_rows() -> None:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(table.delete())


async def stored_admins() -> list[tuple[str, Role, bool]]:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.read_transaction) as session,
    ):
        query = select(User, UserRole, PasswordHash).join(UserRole).join(PasswordHash)
        return [
            (user.email, role.role, bool(password.hash)) for user, role, password in (await session.exec(query)).all()
        ]


async def register() -> None:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        await UserService(session).register(UserCreate(email=EMAIL, name="Ada"))


def run_users(*arguments: str, typed: str = "") -> Result:
    return run_command("users", *arguments, typed=typed)


def create_admin(*arguments: str, typed: str = f"{PASSWORD}\n") -> Result:
    return run_users("create-admin", *arguments, typed=typed)


def test_create_admin_creates_account_and_is_idempotent(monkeypatch: pytest.MonkeyPatch) -> None:
    result = create_admin("Ada@Example.com")

    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "ada@example.com is an administrator")
    assert PASSWORD not in result.output
    assert run_in_thread(asyncio.run, stored_admins()) == [(EMAIL, Role.ADMIN, True)]

    again = create_admin(EMAIL, typed="")
    assert (again.exit_code, again.output.splitlines()[-1]) == (
        0,
        f"{EMAIL} is an administrator, the password is unchanged",
    )


def test_remove_admin_revokes_the_role() -> None:
    create_admin(EMAIL)
    result = run_users("remove-admin", EMAIL)

    assert (result.exit_code, result.output.splitlines()[-1]) == (0, f"{EMAIL} is no longer an administrator")
    assert run_in_thread(asyncio.run, stored_admins()) == []
    unknown = run_users("remove-admin", "bob@example.com")
    assert (unknown.exit_code, unknown.output.splitlines()[-1]) == (1, "No user with the address bob@example.com.")


def test_create_admin_sets_missing_password() -> None:
    run_in_thread(asyncio.run, register())

    assert create_admin(EMAIL).exit_code == 0
    assert run_in_thread(asyncio.run, stored_admins()) == [(EMAIL, Role.ADMIN, True)]


def test_create_admin_prompts_for_password_with_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = {}

    def prompt(text: str, **options: bool) -> str:
        prompts[text] = options
        return PASSWORD

    monkeypatch.setattr("app.modules.password.commands.is_terminal", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)

    assert create_admin(EMAIL, typed="").exit_code == 0
    assert prompts == {"Password": {"hide_input": True, "confirmation_prompt": True}}


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "expected"),
    [
        (["ada"], "", 2, "Invalid EMAIL: value is not a valid email address"),
        ([EMAIL, "--name", ""], "", 2, "Invalid --name: String should have at least 1 character"),
        ([EMAIL], "short\n", 1, "Password must have 15 to 128 characters."),
    ],
)
def test_create_admin_explains_invalid_input(arguments: list[str], typed: str, code: int, expected: str) -> None:
    result = create_admin(*arguments, typed=typed)

    assert result.exit_code == code
    assert expected in result.output
    assert "Traceback" not in result.output
    assert run_in_thread(asyncio.run, stored_admins()) == []
