"""The `users create-admin` command for sign-in with a password."""

import asyncio
import sys
from typing import Annotated

import typer

from app.core.config import load
from app.core.exceptions import DomainError
from app.db import dialect
from app.db.commands import command_context, exit_with_error
from app.db.session import transaction
from app.jwt.passwords import Passwords
from app.jwt.settings import JwtSettings
from app.modules.auth.commands import commands, grant_admin, parse_account
from app.modules.password.repository import PasswordRepository
from app.modules.user.schemas import UserCreate


@commands.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="Email address to sign in with.")],
    name: Annotated[str, typer.Option(help="Name of a new user.")] = "Administrator",
) -> None:
    """Grant the administrator role. Create the user if necessary.

    Prompts for the password of a user without one, or reads it from standard input if that is not a terminal.
    """
    with command_context():
        data = parse_account(email, name)
        try:
            asyncio.run(_create_admin(data, Passwords(load(JwtSettings))))
        except DomainError as error:
            exit_with_error(error)


async def _create_admin(data: UserCreate, passwords: Passwords) -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        async with transaction(database.read_transaction) as session:
            existing = await PasswordRepository(session).find(data.email)
        hashed = None if existing else await _read_password(data, passwords)
        async with transaction(database.write) as session:
            user = await grant_admin(session, data)
            if hashed is not None:
                await PasswordRepository(session).set_password(user.id, hashed)
    typer.echo(f"{data.email} is an administrator" + (", the password is unchanged" if existing else ""))


def is_terminal() -> bool:
    """Return whether standard input is a terminal."""
    return sys.stdin.isatty()


async def _read_password(data: UserCreate, passwords: Passwords) -> str:
    if is_terminal():
        typed = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    await passwords.validate_new_password(typed, data.email, data.name)
    return await passwords.hash(typed)
