"""The `users` commands. Another module adds `create-admin`, because it depends on how users sign in."""

import asyncio
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from typer.core import TyperGroup

from app.db.commands import command_context, exit_with_error, open_transaction
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.models import User
from app.modules.user.schemas import Email, UserCreate
from app.modules.user.service import UserService


class AlphabeticalGroup(TyperGroup):
    """Lists `create-admin`, which another module adds, before `remove-admin`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in alphabetical order."""
        return sorted(super().list_commands(ctx))


commands = typer.Typer(cls=AlphabeticalGroup, no_args_is_help=True, help="Manage users.")
COMMANDS = {"users": commands}


@commands.command()
def remove_admin(email: Annotated[str, typer.Argument(help="Email address of the user.")]) -> None:
    """Revoke the administrator role. Tokens already issued keep the scope until they expire."""
    with command_context():
        if not asyncio.run(_remove_admin(email)):
            exit_with_error(f"No user with the address {email}.")
        typer.echo(f"{email} is no longer an administrator")


async def _remove_admin(email: str) -> bool:
    async with open_transaction() as session:
        user = await UserService(session).find(email)
        if user is not None:
            await AuthService(session).revoke_role(user.id, Role.ADMIN)
        return user is not None


async def grant_admin(session: AsyncSession, data: UserCreate) -> User:
    """Grant the administrator role to the user with this email address; create the user if there is none."""
    users = UserService(session)
    user = await users.find(data.email) or await users.register(data)
    await AuthService(session).grant_role(user.id, Role.ADMIN)
    return user


def parse_account(email: str, name: str) -> UserCreate:
    """Validate the arguments of `create-admin`; exit with an error message if they are invalid."""
    try:
        return UserCreate(email=TypeAdapter(Email).validate_python(email), name=name)
    except ValidationError as error:
        [problem, *_] = error.errors()
        field = "--name" if problem["loc"] else "EMAIL"
        exit_with_error(f"Invalid {field}: {problem['msg'].removeprefix('Value error, ')}", code=2)
