"""Signed-in users, without going through a provider."""

from datetime import timedelta
from uuid import UUID

from fastapi import FastAPI

from app.core.runtime import runtime_of
from app.db.session import Database, transaction
from app.modules.auth.service import AuthService
from app.modules.identity.models import SessionCookie
from app.modules.identity.repository import IdentityRepository
from app.oidc.cookies import CSRF_HEADER, SESSION, csrf_token
from app.security.principal import Device, Scope
from app.security.secrets import digest, new_secret


async def credentials(app: FastAPI, user_id: UUID, *scopes: Scope) -> dict[str, str]:
    """Return the headers of a signed-in browser, with all scopes of the user unless `scopes` are given."""
    secret = new_secret()
    async with transaction(runtime_of(app)[Database].write) as session:
        login = await AuthService(session).start_session(
            user_id, Device("tests", "127.0.0.1"), timedelta(days=14), frozenset(scopes)
        )
        cookie = SessionCookie(
            secret=digest(secret), session_id=login.id, provider="acme", id_token="", expires_at=login.expires_at
        )
        await IdentityRepository(session).add_cookie(cookie)
    return {"Cookie": f"{SESSION.removeprefix('__Host-')}={secret}", CSRF_HEADER: csrf_token(secret)}
