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

from app import jwt, security
from app.jwt.commands import commands as keys
from app.modules.password.commands import commands as users

FEATURES += (security, jwt)
COMMANDS |= {"users": users, "keys": keys}

# Work after a commit, and in other processes.
from app import modules, outbox
from app.outbox.autodiscovery import autodiscover  # imports files of modules by name
from app.outbox.commands import dead_letters, relay
from app.outbox.commands import outbox as outbox_status

FEATURES += (outbox,)
COMMANDS |= {"relay": relay, "outbox": outbox_status, "dead-letters": dead_letters}

from app.outbox import notify

FEATURES += (notify,)

from app import jobs
from app.mail import jobs as mail
from app.jobs.commands import scheduler, worker

autodiscover(modules, "tasks")
FEATURES += (mail, jobs)
COMMANDS |= {"worker": worker, "scheduler": scheduler}

# Features of your own: import them below this line.
