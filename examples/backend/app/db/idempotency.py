"""Idempotency keys: a create request that is repeated with the same key runs only once.

The key and the response are stored in the same transaction as the effect. If it rolls back,
the key is free again. Of two concurrent requests, the second waits until the first has committed, and
replays its response.

    await idempotency.claim(data)
    todo = TodoRead.model_validate(await todos.create(data))
    return idempotency.created(todo)
"""

import hashlib
import json
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

KEY_LIFETIME = timedelta(hours=24)

Created = TypeVar("Created", bound=EntityModel)


class IdempotencyKeyReused(InvalidError):
    """The key was already used for a different request."""

    message = "This Idempotency-Key was used for another request. Use a new key for a new request."


class IdempotencyKey(Expiring, table=True):
    """A used key, with the response to its request."""

    __tablename__ = "idempotency_key"

    id: str = Field(primary_key=True, max_length=64)
    fingerprint: str = Field(max_length=64)
    headers: str = ""
    body: str = ""


class ReplayedResponse(Exception):
    """The request was already processed; contains the original response."""

    def __init__(self, record: IdempotencyKey) -> None:
        super().__init__(record.id)
        self.response = Response(
            record.body, status.HTTP_201_CREATED, json.loads(record.headers), media_type="application/json"
        )


class IdempotentRequest:
    """A create request with an optional idempotency key."""

    def __init__(self, session: AsyncSession, request: Request, response: Response, key: str | None) -> None:
        self.session = session
        self.request = request
        self.response = response
        self.key = key
        self.record: IdempotencyKey | None = None

    async def claim(self, body: BaseModel) -> None:
        """Store the key, if the request has one. A repeated request is answered with the stored response.

        Raises:
            IdempotencyKeyReused: If the key was used with another body.
            ReplayedResponse: If the key was used with the same body.
            RuntimeError: If the first request with this key did not call `created`.
        """
        if self.key is None:
            return
        # Users have separate keys; clients without credentials share theirs.
        owner = self.request.scope.get("principal", "")
        record = IdempotencyKey(
            id=_digest(f"{owner} {self.request.method} {self.request.url.path} {self.key}"),
            fingerprint=_digest(body.model_dump_json(exclude_unset=True)),
            expires_at=utc_now() + KEY_LIFETIME,
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
            if not earlier.body:
                raise RuntimeError("The first request with this key called claim() but not created().") from None
            raise ReplayedResponse(earlier) from None
        self.record = record

    def created(self, entity: Created) -> Created:
        """Set the `Location` and `ETag` headers, and store the response with the key.

        Raises:
            RuntimeError: If the key was not claimed.
        """
        headers = {"Location": f"{self.request.url.path}/{entity.id}", "ETag": etag(entity)}
        self.response.headers.update(headers)
        if self.key is not None:
            if self.record is None:
                raise RuntimeError("Call claim() before created().")
            self.record.headers, self.record.body = json.dumps(headers), entity.model_dump_json()
        return entity


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _idempotent_request(
    request: Request,
    response: Response,
    session: SessionDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=100,
            pattern="^[!-~]+$",
            description="A unique string. Repeating the request with it within 24 hours returns the same response.",
        ),
    ] = None,
) -> IdempotentRequest:
    return IdempotentRequest(session, request, response, idempotency_key)


IdempotencyDep = Annotated[IdempotentRequest, Depends(_idempotent_request)]


async def replay_response(_: Request, replayed: Any) -> Response:
    """Return the original response."""
    response: Response = replayed.response
    return response
