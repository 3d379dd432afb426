"""Access tokens for tests."""

from uuid import UUID, uuid4

from fastapi import FastAPI

from app.core.runtime import runtime_of
from app.jwt.access_tokens import AccessTokens
from app.security.principal import Scope


async def credentials(app: FastAPI, user_id: UUID, *scopes: Scope) -> dict[str, str]:
    """Return the headers of an authenticated user, with the scopes `read` and `write` unless `scopes` are given."""
    token = runtime_of(app)[AccessTokens].issue(user_id, uuid4(), scopes or (Scope.READ, Scope.WRITE))
    return {"Authorization": f"Bearer {token}"}
