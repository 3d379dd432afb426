"""Commands about accounts."""

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


@commands.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="The address that the identity provider knows.")],
    name: Annotated[str, typer.Option(help="What to call them.")] = "Administrator",
) -> None:
    """Make somebody an administrator; the account is opened if there is none.

    There is no password: the account is theirs who sign in with this address, verified by a provider.
    """
    with configured():
        try:
            data = UserCreate(email=TypeAdapter(Email).validate_python(email), name=name)
        except ValidationError as error:
            typer.echo(f"EMAIL or NAME is not usable: {error.errors()[0]['msg']}", err=True)
            raise typer.Exit(2) from None
        asyncio.run(_create_admin(data))
        typer.echo(f"{data.email} is an administrator")


async def _create_admin(data: UserCreate) -> None:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.writers) as session,
    ):
        users = UserService(session)
        user = await users.find(data.email) or await users.register(data)
        await AuthService(session).grant(user.id, Role.ADMIN)


@commands.command()
def remove_admin(email: Annotated[str, typer.Argument(help="The address of the account.")]) -> None:
    """Make an administrator a user like any other, from the next request on."""
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
