"""ETag and If-Match (RFC 9110 §13): a change that was based on an older state is refused.

The tag is the row's version, so it costs no hashing: version 3 is `"3"`.
"""

from typing import Annotated, Protocol

from fastapi import Depends, Header, Response

from app.core.exceptions import PreconditionFailedError


class Versioned(Protocol):
    """Anything that counts its changes."""

    version: int


class Precondition:
    """What the client believes the current version to be."""

    def __init__(self, if_match: str | None) -> None:
        """Keep the header's tags; none means that the client does not mind."""
        self.tags = None if if_match is None else {tag.strip() for tag in if_match.split(",")}

    def check(self, thing: Versioned) -> None:
        """Compare with the present state.

        Raises:
            PreconditionFailedError: If the thing has another version by now.
        """
        if self.tags is not None and not self.tags & {"*", etag(thing)}:
            raise PreconditionFailedError


def etag(thing: Versioned) -> str:
    """Return the entity tag of the present version."""
    return f'"{thing.version}"'


def set_etag(response: Response, thing: Versioned) -> None:
    """Tell the client which version it got."""
    response.headers["ETag"] = etag(thing)


async def _precondition(
    if_match: Annotated[
        str | None, Header(description="The ETag the change is based on. Another present one gives 412.")
    ] = None,
) -> Precondition:
    return Precondition(if_match)


IfMatch = Annotated[Precondition, Depends(_precondition)]
