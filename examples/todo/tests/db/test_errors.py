"""What the database refuses, in the words of the domain."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.db.errors import is_away, translating
from app.modules.user.models import EMAIL_UNIQUE, User


class Taken(ConflictError):
    pass


@pytest.mark.parametrize(("known", "expected"), [(EMAIL_UNIQUE, Taken), ("uq_of_another_table", IntegrityError)])
async def test_a_known_constraint_is_translated_and_another_is_not(
    session: AsyncSession, known: str, expected: type[Exception]
) -> None:
    ada = insert(User).values(email="ada@example.com", name="Ada")
    await session.exec(ada)

    with pytest.raises(expected), translating({known: Taken}):
        await session.exec(ada)


async def test_a_change_that_was_overtaken_fails_its_precondition(app: FastAPI, client: AsyncClient) -> None:
    @app.post("/overtaken")
    async def overtaken() -> None:
        raise StaleDataError

    answer = await client.post("/overtaken")
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")


class Refused(Exception):
    """An error of a database that says why by a code."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (OperationalError("SELECT 1", {}, OSError("refused")), True),
        (OperationalError("SELECT 1", {}, Refused(None)), True),
        (OperationalError("SELECT 1", {}, Refused("08006")), True),  # the connection broke
        (OperationalError("SELECT 1", {}, Refused("53300")), True),  # too many connections
        (OperationalError("SELECT 1", {}, Refused("57P01")), True),  # it shuts down
        (OperationalError("SELECT 1", {}, Refused("57014")), False),  # this statement took too long
        (OperationalError("SELECT 1", {}, Refused("40P01")), False),  # a deadlock
        (InterfaceError("SELECT 1", {}, OSError("closed")), True),
        (PoolTimeout("all in use"), True),
        (ValueError("no"), False),
    ],
    ids=str,
)
def test_a_database_that_is_away_is_told_from_a_statement_that_fails(error: Exception, away: bool) -> None:
    assert is_away(error) is away
