"""The enabled features, in the order in which they start.

A feature is a package with three functions. `prepare_development` starts services that
production must configure; `setup` attaches routes, exception handlers and middleware
while the app is built; `lifespan` opens the resources of the feature and closes them again,
in reverse order. Features are listed explicitly: a missing package fails at import.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import typer
from fastapi import FastAPI

from app import db


class Feature(Protocol):
    """Interface of a feature."""

    def prepare_development(self) -> None:
        """Set missing environment variables before the development server starts (ENV=dev)."""

    def setup(self, app: FastAPI) -> None:
        """Attach state, routes, exception handlers and health checks to the app."""

    def lifespan(self, app: FastAPI) -> AbstractAsyncContextManager[None]:
        """Keep the resources of the feature open while the app runs."""


FEATURES: tuple[Feature, ...] = (db,)
COMMANDS: dict[str, typer.Typer] = {}

from app import oidc, security
from app.modules.identity.commands import commands as users

FEATURES += (security, oidc)
COMMANDS |= {"users": users}

# Features of your own: import them below this line.
