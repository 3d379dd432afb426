"""Users for tests. Other tests cover the actual sign-in."""

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.db.session import transaction
from app.modules.user.service import UserService
from tests.factories import UserCreateFactory


async def sign_in_new_user(client: AsyncClient) -> str:
    """Create a user, let `client` act as this user, and return the URL of their to-dos."""
    async with transaction(app_of(client).state.database.write) as session:
        user = await UserService(session).register(UserCreateFactory.build())
    return f"/api/v1/users/{user.id}/todos"


def as_admin(client: AsyncClient) -> None:
    """Do nothing: without sign-in, all requests are allowed."""


async def admin_headers(app: FastAPI) -> dict[str, str]:
    """Return no headers: without sign-in, all requests are allowed."""
    return {}


def new_client(client: AsyncClient) -> AsyncClient:
    """Return a new client of the same app, without credentials."""
    return AsyncClient(transport=ASGITransport(app_of(client)), base_url="http://test")


def app_of(client: AsyncClient) -> FastAPI:
    """Return the app of a client."""
    transport = client._transport
    assert isinstance(transport, ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app
