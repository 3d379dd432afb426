"""What the routes about passwords need."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request

from app.db.session import DatabaseDep, SessionDep, transaction
from app.jwt.attempts import Attempts
from app.jwt.passwords import Passwords
from app.modules.password.service import PasswordService
from app.security.rate_limits import DeviceDep, RateLimitsDep

DELAY_SECONDS = (0.5, 2.5)


async def get_passwords(request: Request) -> Passwords:
    """Return the hasher of the app."""
    passwords: Passwords = request.app.state.passwords
    return passwords


PasswordsDep = Annotated[Passwords, Depends(get_passwords)]


async def get_service(session: SessionDep, database: DatabaseDep, passwords: PasswordsDep) -> PasswordService:
    """Give the service this request's transaction."""
    return PasswordService(session, database, passwords)


PasswordServiceDep = Annotated[PasswordService, Depends(get_service)]


async def get_attempts(request: Request, limits: RateLimitsDep, device: DeviceDep) -> Attempts:
    """Count what this client tries."""
    return Attempts(limits, request.app.state.jwt, device)


AttemptsDep = Annotated[Attempts, Depends(get_attempts)]

Work = Callable[[PasswordService], Awaitable[None]]


async def get_after_answering(
    background: BackgroundTasks, database: DatabaseDep, passwords: PasswordsDep
) -> Callable[[Work], None]:
    """Do something some time after the answer, in a transaction of its own.

    So neither the time to the answer nor that to the next one tells whether an account was found.
    """

    async def do(work: Work) -> None:
        await asyncio.sleep(random.uniform(*DELAY_SECONDS))  # noqa: S311 - to blur, not to keep a secret
        async with transaction(database.writers) as session:
            await work(PasswordService(session, database, passwords))

    return lambda work: background.add_task(do, work)


AfterAnswering = Annotated[Callable[[Work], None], Depends(get_after_answering)]
