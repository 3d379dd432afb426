"""Users for tests. Other tests cover the actual sign-in."""

from datetime import timedelta
from uuid import uuid4

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.db.base import utc_now
from app.db.session import transaction
from app.modules.auth.dependencies import get_principal
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.service import UserService
from app.security.principal import Principal, Scope
from tests.factories import UserCreateFactory
from tests.modules.token.credentials import credentials


async def sign_in_new_user(client: AsyncClient) -> str:
    """Create a user, let `client` act as this user, and return the URL of their to-dos."""
    async with transaction(app_of(client).state.database.write) as session:
        user = await UserService(session).register(UserCreateFactory.build())
    client.headers.update(await credentials(app_of(client), user.id))
    return "/api/v1/todos"


def as_admin(client: AsyncClient) -> None:
    """Give all clients of the app administrator permissions."""
    admin = Principal(uuid4(), frozenset(Scope), expires_at=utc_now() + timedelta(minutes=15))

    async def get_admin() -> Principal:
        return admin

    app_of(client).dependency_overrides[get_principal] = get_admin


async def admin_headers(app: FastAPI) -> dict[str, str]:
    """Create an administrator, and return their request headers."""
    async with transaction(app.state.database.write) as session:
        user = await UserService(session).register(UserCreateFactory.build())
        await AuthService(session).grant_role(user.id, Role.ADMIN)
    return await credentials(app, user.id, *Scope)


def new_client(client: AsyncClient) -> AsyncClient:
    """Return a new client of the same app, without credentials."""
    return AsyncClient(transport=ASGITransport(app_of(client)), base_url="http://test")


def app_of(client: AsyncClient) -> FastAPI:
    """Return the app of a client."""
    transport = client._transport
    assert isinstance(transport, ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app
