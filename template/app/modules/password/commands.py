"""Commands about accounts."""

import asyncio
import sys
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from app.core.config import load
from app.core.exceptions import DomainError
from app.db import dialect
from app.db.commands import configured
from app.db.session import transaction
from app.jwt.passwords import Passwords
from app.jwt.settings import JwtSettings
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.password.repository import PasswordRepository
from app.modules.user.schemas import Email, UserCreate
from app.modules.user.service import UserService

commands = typer.Typer(no_args_is_help=True, help="The people who use the service.")


@commands.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="The address to sign in with.")],
    name: Annotated[str, typer.Option(help="What to call them.")] = "Administrator",
) -> None:
    """Make somebody an administrator; the account is opened if there is none.

    The password is asked for, or read from standard input if that is no terminal.
    """
    with configured():
        try:
            data = UserCreate(email=TypeAdapter(Email).validate_python(email), name=name)
            asyncio.run(_create_admin(data, Passwords(load(JwtSettings))))
        except ValidationError as error:
            typer.echo(f"EMAIL or NAME is not usable: {error.errors()[0]['msg']}", err=True)
            raise typer.Exit(2) from None
        except DomainError as error:
            typer.echo(error, err=True)
            raise typer.Exit(1) from None


async def _create_admin(data: UserCreate, passwords: Passwords) -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        async with transaction(database.readers) as session:
            known = await PasswordRepository(session).find(data.email)
        hashed = None if known else await _ask(data, passwords)
        async with transaction(database.writers) as session:
            users = UserService(session)
            user = await users.find(data.email) or await users.register(data)
            if hashed is not None:
                await PasswordRepository(session).put(user.id, hashed)
            await AuthService(session).grant(user.id, Role.ADMIN)
    typer.echo(f"{data.email} is an administrator" + (" and keeps their password" if known else ""))


def is_terminal() -> bool:
    """Tell whether a person types, or a script."""
    return sys.stdin.isatty()


async def _ask(data: UserCreate, passwords: Passwords) -> str:
    if is_terminal():
        typed = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    await passwords.check(typed, data.email, data.name)
    return await passwords.hash(typed)


@commands.command()
def remove_admin(email: Annotated[str, typer.Argument(help="The address of the account.")]) -> None:
    """Make an administrator a user like any other. Tokens that are out already keep the scope until they expire."""
    with configured():
        if not asyncio.run(_remove_admin(email)):
            typer.echo(f"{email} has no account", err=True)
            raise typer.Exit(1)
        typer.echo(f"{email} is no administrator")


async def _remove_admin(email: str) -> bool:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.writers) as session,
    ):
        user = await UserService(session).find(email)
        if user is not None:
            await AuthService(session).withdraw(user.id, Role.ADMIN)
        return user is not None
