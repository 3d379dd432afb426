"""Pagination of lists: a limit, an opaque cursor, and a link to the next page."""

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
    """The cursor is malformed or belongs to another sort order."""

    message = "Invalid cursor. Use `next` from the previous page with the same sort order."


class Page(BaseModel, Generic[T]):
    """A page of items, and the cursor of the next page."""

    items: list[T]
    next: str | None = Field(description="Cursor of the next page; null on the last page.", examples=[None])


@dataclass(frozen=True)
class Cursor:
    """A position in a sorted list: the value of the last row in the sort column, and its id."""

    order: str
    value: str
    id: str

    def __str__(self) -> str:
        """Encode the cursor for a URL."""
        return base64.urlsafe_b64encode(json.dumps([self.order, self.value, self.id]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Decode a cursor.

        Raises:
            InvalidCursor: If the text is not a valid cursor.
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
    """Pagination parameters of a request."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


async def _page_params(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Maximum number of items.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(description="`next` from the previous page.", max_length=1000)] = None,
) -> PageParams:
    return PageParams(limit, cursor)


PageDep = Annotated[PageParams, Depends(_page_params)]


def set_next_link(request: Request, response: Response, cursor: str | None) -> None:
    """Set the `Link` header to the next page, if there is one (RFC 8288)."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
