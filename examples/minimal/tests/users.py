"""Users for tests. Other tests cover the actual sign-in."""

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.runtime import runtime_of
from app.db.session import Database, transaction
from app.modules.user.service import UserService
from tests.factories import UserCreateFactory
from tests.sign_in_none import admin_headers, as_admin, credentials

__all__ = ["admin_headers", "app_of", "as_admin", "new_client", "sign_in_new_user"]


async def sign_in_new_user(client: AsyncClient) -> str:
    """Create a user, let `client` act as this user, and return the URL of their to-dos."""
    async with transaction(runtime_of(app_of(client))[Database].write) as session:
        user = await UserService(session).register(UserCreateFactory.build())
    client.headers.update(await credentials(app_of(client), user.id))
    return f"/api/v1/users/{user.id}/todos"


def new_client(client: AsyncClient) -> AsyncClient:
    """Return a new client of the same app, without credentials."""
    return AsyncClient(transport=ASGITransport(app_of(client)), base_url="http://test")


def app_of(client: AsyncClient) -> FastAPI:
    """Return the app of a client."""
    transport = client._transport
    assert isinstance(transport, ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app
