"""Administrators, without the actual sign-in."""

from datetime import timedelta
from uuid import uuid4

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.modules.auth.dependencies import get_principal
from app.modules.auth.models import Role
from app.modules.auth.service import AuthService
from app.modules.user.service import UserService
from app.security.principal import Principal, Scope
from tests.factories import UserCreateFactory
from tests.modules.identity.credentials import credentials

__all__ = ["admin_headers", "as_admin", "credentials"]


def as_admin(client: AsyncClient) -> None:
    """Give all clients of the app administrator permissions."""
    admin = Principal(uuid4(), frozenset(Scope), expires_at=utc_now() + timedelta(minutes=15))

    async def get_admin() -> Principal:
        return admin

    transport = client._transport
    assert isinstance(transport, ASGITransport)
    assert isinstance(transport.app, FastAPI)
    transport.app.dependency_overrides[get_principal] = get_admin


async def admin_headers(app: FastAPI) -> dict[str, str]:
    """Create an administrator, and return their request headers."""
    async with transaction(runtime_of(app)[Database].write) as session:
        user = await UserService(session).register(UserCreateFactory.build())
        await AuthService(session).grant_role(user.id, Role.ADMIN)
    return await credentials(app, user.id, *Scope)
