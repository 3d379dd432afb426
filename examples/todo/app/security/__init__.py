"""Security features shared by all kinds of sign-in: current user, rate limits, audit log."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.security.rate_limits import RateLimits
from app.security.settings import SecuritySettings


def prepare_development() -> None:
    """Do nothing: the defaults are suitable for development."""


def setup(app: FastAPI) -> None:
    """Load the settings and create the rate limits."""
    app.state.security = load(SecuritySettings)
    app.state.rate_limits = RateLimits(app.state.security)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - part of the feature interface
    """Do nothing: the counters are kept in the memory of the process."""
    yield
