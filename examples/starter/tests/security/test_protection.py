"""Every route requires authentication or is on the public allow-list."""

import re
from uuid import uuid4

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient

# Routes without authentication. New routes are either protected or must be added here, which a review will notice.
PUBLIC_ROUTES = {
    *("GET /docs", "GET /docs/oauth2-redirect", "GET /openapi.json", "GET /redoc"),
    *("GET /health", "GET /health/live", "GET /health/ready"),
    *("POST /api/v1/auth/register", "POST /api/v1/auth/verify-email", "POST /api/v1/auth/confirm-email"),
    *("POST /api/v1/auth/forgot-password", "POST /api/v1/auth/reset-password"),
    *("POST /api/v1/auth/token", "POST /api/v1/auth/refresh", "GET /api/v1/auth/jwks"),
    *("GET /api/v1/auth/providers", "GET /api/v1/auth/login/{provider}", "GET /api/v1/auth/callback/{provider}"),
}


async def test_every_route_is_protected_or_public(app: FastAPI, client: AsyncClient) -> None:
    routes = {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in (context.methods or ())
        if method != "HEAD"
    }
    unprotected = set()
    for route in routes:
        method, path = route.split()
        response = await client.request(method, re.sub(r"{[^}]+}", str(uuid4()), path))
        if response.status_code != 401:
            unprotected.add(route)

    assert unprotected == PUBLIC_ROUTES & routes
    assert any(route.endswith("/users") for route in routes - unprotected)
