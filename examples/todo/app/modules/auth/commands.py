"""Commands about people, whichever way they sign in. How an administrator is made depends on the way."""

import asyncio
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from app.core.config import load
from app.db import dialect
from app.db.commands import configured
from app.db.session import transaction
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.schemas import Email, UserCreate
from app.modules.user.service import UserService

commands = typer.Typer(no_args_is_help=True, help="The people who use the service.")


@commands.callback()
def _users() -> None:
    """Keep `users` a group, however many commands it has."""


@commands.command()
def remove_admin(email: Annotated[str, typer.Argument(help="The address of the account.")]) -> None:
    """Make an administrator a user like any other. Access tokens that are out already keep the scope to their end."""
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


def read_account(email: str, name: str) -> UserCreate:
    """Read the arguments of `create-admin`, or explain what is wrong with them."""
    try:
        return UserCreate(email=TypeAdapter(Email).validate_python(email), name=name)
    except ValidationError as error:
        typer.echo(f"EMAIL or NAME is not usable: {error.errors()[0]['msg']}", err=True)
        raise typer.Exit(2) from None
