"""There is no sign-in: all requests are allowed."""

from uuid import UUID

from fastapi import FastAPI
from httpx2 import AsyncClient


async def credentials(app: FastAPI, user_id: UUID) -> dict[str, str]:
    """Return no headers."""
    return {}


def as_admin(client: AsyncClient) -> None:
    """Do nothing."""


async def admin_headers(app: FastAPI) -> dict[str, str]:
    """Return no headers."""
    return {}
