"""Mapping of database errors."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import ConflictError
from app.db.errors import map_integrity_errors
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
    async def update_stale_row() -> None:
        raise StaleDataError

    response = await client.post("/overtaken")
    assert (response.status_code, response.json()["code"]) == (412, "precondition_failed")
