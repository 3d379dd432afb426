"""User commands that do not depend on the kind of sign-in; `create-admin` is in the module for that kind."""

import asyncio
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.db import dialect
from app.db.commands import command_context
from app.db.session import transaction
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.models import User
from app.modules.user.schemas import Email, UserCreate
from app.modules.user.service import UserService

commands = typer.Typer(no_args_is_help=True, help="Manage user accounts.")
COMMANDS = {"users": commands}


@commands.command()
def remove_admin(email: Annotated[str, typer.Argument(help="Email address of the account.")]) -> None:
    """Revoke the administrator role. Tokens already issued keep the scope until they expire."""
    with command_context():
        if not asyncio.run(_remove_admin(email)):
            typer.echo(f"No account with the address {email}.", err=True)
            raise typer.Exit(1)
        typer.echo(f"{email} is no longer an administrator")


async def _remove_admin(email: str) -> bool:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        user = await UserService(session).find(email)
        if user is not None:
            await AuthService(session).revoke_role(user.id, Role.ADMIN)
        return user is not None


async def grant_admin(session: AsyncSession, data: UserCreate) -> User:
    """Grant the administrator role to the account with this email address; create the account if there is none."""
    users = UserService(session)
    user = await users.find(data.email) or await users.register(data)
    await AuthService(session).grant_role(user.id, Role.ADMIN)
    return user


def parse_account(email: str, name: str) -> UserCreate:
    """Validate the arguments of `create-admin`; exit with an error message if they are invalid."""
    try:
        return UserCreate(email=TypeAdapter(Email).validate_python(email), name=name)
    except ValidationError as error:
        typer.echo(f"Invalid EMAIL or NAME: {error.errors()[0]['msg']}", err=True)
        raise typer.Exit(2) from None
