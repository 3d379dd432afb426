"""How an administrator is made, where people come from a provider."""

import asyncio
from typing import Annotated

import typer

from app.core.config import load
from app.db import dialect
from app.db.commands import configured
from app.db.session import transaction
from app.modules.auth.commands import commands, read_account
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.schemas import UserCreate
from app.modules.user.service import UserService


@commands.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="The address that the identity provider knows.")],
    name: Annotated[str, typer.Option(help="What to call them.")] = "Administrator",
) -> None:
    """Make somebody an administrator; the account is opened if there is none.

    There is no password: the account is theirs who sign in with this address, verified by a provider.
    """
    with configured():
        data = read_account(email, name)
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
