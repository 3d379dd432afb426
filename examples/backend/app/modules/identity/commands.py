"""The `users create-admin` command for sign-in with identity providers."""

import asyncio
from typing import Annotated

import typer

from app.db.commands import command_context, open_transaction
from app.modules.auth.commands import commands, grant_admin, parse_account
from app.modules.user.schemas import UserCreate


@commands.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="Email address of the user at the identity provider.")],
    name: Annotated[str, typer.Option(help="Name of a new user.")] = "Administrator",
) -> None:
    """Grant the administrator role. Create the user if necessary.

    No password is set: the user signs in at a provider that has verified this address.
    """
    with command_context():
        data = parse_account(email, name)
        asyncio.run(_create_admin(data))
        typer.echo(f"{data.email} is an administrator")


async def _create_admin(data: UserCreate) -> None:
    async with open_transaction() as session:
        await grant_admin(session, data)
