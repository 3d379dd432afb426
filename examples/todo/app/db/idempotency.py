"""Idempotency-Key: a creation that is sent twice happens once, and is answered twice.

The key and the answer are rows of the same transaction as the effect. If it rolls back,
the key is free again; if two requests come at once, the second waits for the first
(on the primary key in PostgreSQL, on the writer's turn in SQLite) and repeats its answer.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response, status
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import InvalidError
from app.core.preconditions import etag
from app.core.schemas import EntityModel
from app.db.base import Expiring, utc_now
from app.db.session import SessionDep

KEPT_FOR = timedelta(hours=24)

Body = TypeVar("Body", bound=BaseModel)
Answer = TypeVar("Answer", bound=EntityModel)


class IdempotencyKeyReused(InvalidError):
    """The same key came with another request."""

    message = "This Idempotency-Key was used for another request. Use a new key for a new request."


class IdempotencyKey(Expiring, table=True):
    """A key that was used, and the answer it got."""

    __tablename__ = "idempotency_key"

    id: str = Field(primary_key=True, max_length=64)
    fingerprint: str = Field(max_length=64)
    headers: str = ""
    body: str = ""


class Repeated(Exception):
    """The request was answered before; this is that answer, byte for byte."""

    def __init__(self, record: IdempotencyKey) -> None:
        """Take the answer from the record."""
        super().__init__(record.id)
        self.response = Response(
            record.body, status.HTTP_201_CREATED, json.loads(record.headers), media_type="application/json"
        )


class Once:
    """Answers a creation: once for each key, or each time if there is none."""

    def __init__(self, session: AsyncSession, request: Request, response: Response, key: str | None) -> None:
        """Bind to the request: its transaction, its address and its key."""
        self.session = session
        self.request = request
        self.response = response
        self.key = key

    async def __call__(self, create: Callable[[Body], Awaitable[Any]], body: Body, answer: type[Answer]) -> Answer:
        """Create something, and say where it is (`Location`) and in which version (`ETag`).

        Args:
            create: What creates the thing from the body.
            body: The request.
            answer: The model of the response, built from what `create` returns.

        Raises:
            IdempotencyKeyReused: If the key came with another body before.
            Repeated: If it came with this one; the answer of then is sent again.
        """
        record = None if self.key is None else await self._claim(self.key, body)
        created = answer.model_validate(await create(body))
        headers = {"Location": f"{self.request.url.path}/{created.id}", "ETag": etag(created)}
        self.response.headers.update(headers)
        if record is not None:
            record.headers, record.body = json.dumps(headers), created.model_dump_json()
        return created

    async def _claim(self, key: str, body: BaseModel) -> IdempotencyKey:
        """Insert the key, or repeat the answer that it got."""
        who = self.request.scope.get("principal", "")  # A key belongs to whoever is signed in.
        record = IdempotencyKey(
            id=_digest(f"{who} {self.request.method} {self.request.url.path} {key}"),
            fingerprint=_digest(body.model_dump_json(exclude_unset=True)),
            expires_at=utc_now() + KEPT_FOR,
        )
        expired = col(IdempotencyKey.expires_at) < utc_now()
        await self.session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.id) == record.id, expired))
        try:
            async with self.session.begin_nested():
                self.session.add(record)
        except IntegrityError:
            earlier = await self.session.get_one(IdempotencyKey, record.id)
            if earlier.fingerprint != record.fingerprint:
                raise IdempotencyKeyReused from None
            raise Repeated(earlier) from None
        return record


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _once(
    request: Request,
    response: Response,
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
    return Once(session, request, response, idempotency_key)


OnceDep = Annotated[Once, Depends(_once)]


async def repeat(_: Request, repeated: Any) -> Response:
    """Send the answer again."""
    response: Response = repeated.response
    return response
