"""ETag and If-Match (RFC 9110 §13): changes based on an outdated version are rejected.

The entity tag is the version of the row, so nothing is hashed: version 3 has the tag `"3"`.
"""

from typing import Annotated, Protocol

from fastapi import Depends, Header, Response

from app.core.exceptions import PreconditionFailedError


class Versioned(Protocol):
    """An object with a version number."""

    version: int


class Precondition:
    """The version that the client expects, from the `If-Match` header."""

    def __init__(self, if_match: str | None) -> None:
        """Parse the header; None means that any version is accepted."""
        self.tags = None if if_match is None else {tag.strip() for tag in if_match.split(",")}

    def check(self, entity: Versioned) -> None:
        """Compare with the current version.

        Raises:
            PreconditionFailedError: If the object has another version.
        """
        if self.tags is not None and not self.tags & {"*", etag(entity)}:
            raise PreconditionFailedError


def etag(entity: Versioned) -> str:
    """Return the entity tag of the current version."""
    return f'"{entity.version}"'


def set_etag(response: Response, entity: Versioned) -> None:
    """Set the `ETag` header to the current version."""
    response.headers["ETag"] = etag(entity)


async def _precondition(
    if_match: Annotated[
        str | None, Header(description="ETag of the version to change. Returns 412 if the current version differs.")
    ] = None,
) -> Precondition:
    return Precondition(if_match)


IfMatch = Annotated[Precondition, Depends(_precondition)]
