"""People who use the API in tests. How one really signs in is tested where it is built."""

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.db.session import transaction
from app.modules.user.service import UserService
from tests.factories import UserCreateFactory


async def join(client: AsyncClient) -> str:
    """Open an account, let `client` use it, and return the URL of its to-dos."""
    async with transaction(app_of(client).state.database.writers) as session:
        user = await UserService(session).register(UserCreateFactory.build())
    return f"/api/v1/users/{user.id}/todos"


def lead(client: AsyncClient) -> None:
    """Do nothing: without sign-in everybody may do everything."""


async def administrator(app: FastAPI) -> dict[str, str]:
    """Return no headers: without sign-in everybody may do everything."""
    return {}


def another(client: AsyncClient) -> AsyncClient:
    """Return a client of the same app that is somebody else."""
    return AsyncClient(transport=ASGITransport(app_of(client)), base_url="http://test")


def app_of(client: AsyncClient) -> FastAPI:
    """Return the app that a client talks to."""
    transport = client._transport
    assert isinstance(transport, ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app
