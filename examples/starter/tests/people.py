"""People who use the API in tests. How one really signs in is tested where it is built."""

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


async def join(client: AsyncClient) -> str:
    """Open an account, let `client` use it, and return the URL of its to-dos."""
    async with transaction(app_of(client).state.database.writers) as session:
        user = await UserService(session).register(UserCreateFactory.build())
    client.headers.update(await credentials(app_of(client), user.id))
    return "/api/v1/todos"


def lead(client: AsyncClient) -> None:
    """Let everybody who uses the app of `client` do what administrators may."""
    admin = Principal(uuid4(), frozenset(Scope), expires_at=utc_now() + timedelta(minutes=15))

    async def get_admin() -> Principal:
        return admin

    app_of(client).dependency_overrides[get_principal] = get_admin


async def administrator(app: FastAPI) -> dict[str, str]:
    """Open the account of an administrator, and return the headers of their requests."""
    async with transaction(app.state.database.writers) as session:
        user = await UserService(session).register(UserCreateFactory.build())
        await AuthService(session).grant(user.id, Role.ADMIN)
    return await credentials(app, user.id, *Scope)


def another(client: AsyncClient) -> AsyncClient:
    """Return a client of the same app that is somebody else."""
    return AsyncClient(transport=ASGITransport(app_of(client)), base_url="http://test")


def app_of(client: AsyncClient) -> FastAPI:
    """Return the app that a client talks to."""
    transport = client._transport
    assert isinstance(transport, ASGITransport)
    assert isinstance(transport.app, FastAPI)
    return transport.app
