"""Mapping of database errors."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.db.errors import is_unavailable, map_integrity_errors
from app.modules.user.models import EMAIL_UNIQUE, User


class Taken(ConflictError):
    pass


@pytest.mark.parametrize(("known", "expected"), [(EMAIL_UNIQUE, Taken), ("uq_of_another_table", IntegrityError)])
async def test_only_known_constraints_are_mapped(session: AsyncSession, known: str, expected: type[Exception]) -> None:
    ada = insert(User).values(email="ada@example.com", name="Ada")
    await session.exec(ada)

    with pytest.raises(expected), map_integrity_errors({known: Taken}):
        await session.exec(ada)


async def test_stale_data_fails_the_precondition(app: FastAPI, client: AsyncClient) -> None:
    @app.post("/overtaken")
    async def overtaken() -> None:
        raise StaleDataError

    answer = await client.post("/overtaken")
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")


class Refused(Exception):
    """A database error with an error code."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (OperationalError("SELECT 1", {}, OSError("refused")), True),
        (OperationalError("SELECT 1", {}, Refused(None)), True),
        (OperationalError("SELECT 1", {}, Refused("08006")), True),  # connection failure
        (OperationalError("SELECT 1", {}, Refused("53300")), True),  # too many connections
        (OperationalError("SELECT 1", {}, Refused("57P01")), True),  # server shutdown
        (OperationalError("SELECT 1", {}, Refused("57014")), False),  # statement timeout
        (OperationalError("SELECT 1", {}, Refused("40P01")), False),  # deadlock
        (InterfaceError("SELECT 1", {}, OSError("closed")), True),
        (PoolTimeout("all in use"), True),
        (ValueError("no"), False),
    ],
    ids=str,
)
def test_unavailable_database_is_distinguished_from_a_failed_statement(error: Exception, away: bool) -> None:
    assert is_unavailable(error) is away
