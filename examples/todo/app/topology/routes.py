"""Who answers what: all routes are in `api.py`, and each service takes a part of them."""

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

ACCOUNTS = ("/api/v1/auth", "/api/v1/users")


def about_accounts(router: APIRouter) -> APIRouter:
    """Return the routes that are about accounts."""
    return _part(route for route in router.routes if _is_about_accounts(route))


def about_all_else(router: APIRouter) -> APIRouter:
    """Return the routes that are not about accounts."""
    return _part(route for route in router.routes if not _is_about_accounts(route))


def _part(routes: Iterator[BaseRoute]) -> APIRouter:
    part = APIRouter()
    part.routes.extend(routes)
    return part


def _is_about_accounts(route: BaseRoute) -> bool:
    return all((context.path or "").startswith(ACCOUNTS) for context in iter_route_contexts([route]))
