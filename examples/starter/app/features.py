"""What this service is made of, in the order in which things start: what belongs to one answer stands together.

A feature is a package with three functions. `prepare_development` provides on a
developer's machine what production must be given; `setup` attaches routes, handlers and
middlewares while the app is built; `lifespan` opens what the feature needs and closes it
again, in reverse order. Features are not discovered: a missing line fails loudly.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import typer
from fastapi import FastAPI

from app import db


class Feature(Protocol):
    """The face each feature shows."""

    def prepare_development(self) -> None:
        """Put into the environment what nobody has set, before the server starts (ENV=dev)."""

    def setup(self, app: FastAPI) -> None:
        """Attach what belongs to the app."""

    def lifespan(self, app: FastAPI) -> AbstractAsyncContextManager[None]:
        """Hold open what the feature needs while the app runs."""


FEATURES: tuple[Feature, ...] = (db,)
COMMANDS: dict[str, typer.Typer] = {}

from app import jwt, security
from app.jwt.commands import commands as keys
from app.modules.password.commands import commands as users

FEATURES += (security, jwt)
COMMANDS |= {"users": users, "keys": keys}

# What happens after a commit, and in other processes.
from app import modules, outbox
from app.outbox.autodiscovery import autodiscover  # what modules have beside routes, by the names of their files
from app.outbox.commands import dead_letters, relay
from app.outbox.commands import outbox as outbox_status

FEATURES += (outbox,)
COMMANDS |= {"relay": relay, "outbox": outbox_status, "dead-letters": dead_letters}

from app.outbox import notify

FEATURES += (notify,)

from app import workers
from app.mail import jobs as mail
from app.workers.commands import scheduler, worker

autodiscover(modules, "tasks")
FEATURES += (mail, workers)
COMMANDS |= {"worker": worker, "scheduler": scheduler}

# Features of your own: import them below this line.
