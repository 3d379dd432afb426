"""The user whose data a request is about."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path


async def get_owner(owner_id: Annotated[UUID, Path(description="Owner of the data.")]) -> UUID:
    """Return the owner given in the path, because there is no authentication."""
    return owner_id


OwnerId = Annotated[UUID, Depends(get_owner)]
