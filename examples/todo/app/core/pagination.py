"""Pages, as clients see them: a limit, an opaque cursor, and a link to what comes next."""

import base64
import json
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field

from app.core.exceptions import InvalidError

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 100


class InvalidCursor(InvalidError):
    """The cursor is not one of ours, or belongs to another order."""

    message = "The cursor cannot be used here. Take `next` of the page before, with the same order."


class Page(BaseModel, Generic[T]):
    """Some of the rows, and where the next ones begin."""

    items: list[T]
    next: str | None = Field(description="Cursor of the next page; null on the last one.", examples=[None])


@dataclass(frozen=True)
class Cursor:
    """A place in an order: the last row's value in the ordering column, and its id."""

    order: str
    value: str
    id: str

    def __str__(self) -> str:
        """Encode it for a URL."""
        return base64.urlsafe_b64encode(json.dumps([self.order, self.value, self.id]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Decode it.

        Raises:
            InvalidCursor: If this service did not make it.
        """
        try:
            order, value, id_ = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, TypeError, RecursionError):
            raise InvalidCursor from None
        if not all(isinstance(part, str) and part.isprintable() for part in (order, value, id_)):
            raise InvalidCursor
        return cls(order, value, id_)


@dataclass(frozen=True)
class PageParams:
    """What a client may say about pages."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


async def _page_params(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(description="`next` of the page before.", max_length=1000)] = None,
) -> PageParams:
    return PageParams(limit, cursor)


PageDep = Annotated[PageParams, Depends(_page_params)]


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Point to the next page in the `Link` header too (RFC 8288)."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
