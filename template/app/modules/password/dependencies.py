"""What the routes about passwords need."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request

from app.db.session import DatabaseDep, SessionDep, transaction
from app.jwt.passwords import Passwords
from app.modules.password.service import PasswordService


async def get_passwords(request: Request) -> Passwords:
    """Return the hasher of the app."""
    passwords: Passwords = request.app.state.passwords
    return passwords


PasswordsDep = Annotated[Passwords, Depends(get_passwords)]


async def get_service(session: SessionDep, database: DatabaseDep, passwords: PasswordsDep) -> PasswordService:
    """Give the service this request's transaction."""
    return PasswordService(session, database, passwords)


PasswordServiceDep = Annotated[PasswordService, Depends(get_service)]

Work = Callable[[PasswordService], Awaitable[None]]


async def get_after_answering(
    background: BackgroundTasks, database: DatabaseDep, passwords: PasswordsDep
) -> Callable[[Work], None]:
    """Do something after the answer, in a transaction of its own.

    So the time to the answer does not tell whether an account was found.
    """

    async def do(work: Work) -> None:
        async with transaction(database.writers) as session:
            await work(PasswordService(session, database, passwords))

    return lambda work: background.add_task(do, work)


AfterAnswering = Annotated[Callable[[Work], None], Depends(get_after_answering)]
