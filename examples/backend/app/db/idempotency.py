"""Idempotency-Key: a creation that is sent twice happens once, and is answered twice.

The key and the answer are rows of the same transaction as the effect. If it rolls back,
the key is free again; if two requests come at once, the second waits for the first
(on the primary key in PostgreSQL, on the writer's turn in SQLite) and repeats its answer.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import InvalidError
from app.db.base import Base, UtcDateTime, utc_now
from app.db.session import SessionDep

KEPT_FOR = timedelta(hours=24)

Body = TypeVar("Body", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)


class IdempotencyKeyReused(InvalidError):
    """The same key came with another request."""

    message = "This Idempotency-Key was used for another request. Use a new key for a new request."


class IdempotencyKey(Base, table=True):
    """A key that was used, and the answer it got."""

    __tablename__ = "idempotency_key"

    scope: str = Field(primary_key=True, max_length=200)
    key: str = Field(primary_key=True, max_length=100)
    fingerprint: str = Field(max_length=64)
    answer: str
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)


class Once:
    """Runs a creation once for each key; without a key, simply runs it."""

    def __init__(self, session: AsyncSession, scope: str, key: str | None) -> None:
        """Bind to the request: its transaction, its route and its key."""
        self.session = session
        self.scope = scope
        self.key = key

    async def __call__(self, create: Callable[[Body], Awaitable[Any]], body: Body, answer: type[Answer]) -> Answer:
        """Create and answer, or repeat the answer that was given.

        Args:
            create: What creates the thing from the body.
            body: The request.
            answer: The model of the response, built from what `create` returns.

        Raises:
            IdempotencyKeyReused: If the key came with another body before.
        """
        if self.key is None:
            return answer.model_validate(await create(body))
        fingerprint = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
        record = await self._claim(IdempotencyKey(scope=self.scope, key=self.key, fingerprint=fingerprint, answer=""))
        if record.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        if not record.answer:
            created = answer.model_validate(await create(body))
            record.answer = created.model_dump_json()
        return answer.model_validate_json(record.answer)

    async def _claim(self, record: IdempotencyKey) -> IdempotencyKey:
        """Insert the key, or return the record that stands in its place."""
        await self.session.exec(
            delete(IdempotencyKey).where(
                col(IdempotencyKey.scope) == self.scope,
                col(IdempotencyKey.key) == self.key,
                col(IdempotencyKey.created_at) < utc_now() - KEPT_FOR,
            )
        )
        try:
            async with self.session.begin_nested():
                self.session.add(record)
        except IntegrityError:
            return await self.session.get_one(IdempotencyKey, (self.scope, self.key))
        return record


def _once(
    request: Request,
    session: SessionDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=100,
            pattern="^[!-~]+$",
            description="Any unique text. Repeating the request with it within 24 hours repeats the answer.",
        ),
    ] = None,
) -> Once:
    return Once(session, f"{request.method} {request.url.path}", idempotency_key)


OnceDep = Annotated[Once, Depends(_once)]


async def purge(session: AsyncSession) -> int:
    """Delete the keys that have expired, and return how many there were."""
    expired = delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < utc_now() - KEPT_FOR)
    return (await session.exec(expired)).rowcount
