"""Routes by service: all routes are defined in `api.py`, and each service includes a part of them."""

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

ACCOUNTS = ("/api/v1/auth", "/api/v1/users")


def about_accounts(router: APIRouter) -> APIRouter:
    """Return the routes for authentication and accounts."""
    return _part(route for route in router.routes if _is_about_accounts(route))


def about_all_else(router: APIRouter) -> APIRouter:
    """Return all other routes."""
    return _part(route for route in router.routes if not _is_about_accounts(route))


def _part(routes: Iterator[BaseRoute]) -> APIRouter:
    part = APIRouter()
    part.routes.extend(routes)
    return part


def _is_about_accounts(route: BaseRoute) -> bool:
    return all((context.path or "").startswith(ACCOUNTS) for context in iter_route_contexts([route]))
