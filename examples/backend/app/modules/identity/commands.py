"""The `users create-admin` command for sign-in with identity providers."""

import asyncio
from typing import Annotated

import typer

from app.core.config import load
from app.db import dialect
from app.db.commands import command_context
from app.db.session import transaction
from app.modules.auth.commands import commands, grant_admin, parse_account
from app.modules.user.schemas import UserCreate


@commands.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="Email address of the user at the identity provider.")],
    name: Annotated[str, typer.Option(help="Display name of a new account.")] = "Administrator",
) -> None:
    """Grant the administrator role; creates the account if it does not exist.

    No password is set: the account is linked when a user signs in with this address, verified by a provider.
    """
    with command_context():
        data = parse_account(email, name)
        asyncio.run(_create_admin(data))
        typer.echo(f"{data.email} is an administrator")


async def _create_admin(data: UserCreate) -> None:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        await grant_admin(session, data)
