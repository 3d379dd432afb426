"""What every kind of sign-in needs: who asks, how often they may try, and a trail of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.core.config import load
from app.security.rate_limits import RateLimits
from app.security.settings import SecuritySettings


def prepare_development() -> None:
    """Nothing: the defaults are made for development."""


def setup(app: FastAPI) -> None:
    """Start to count attempts."""
    app.state.security = load(SecuritySettings)
    app.state.rate_limits = RateLimits(app.state.security)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: the counters live in the memory of the process."""
    yield
