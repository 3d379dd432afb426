"""Security features shared by all kinds of sign-in: current user, rate limits, audit log."""

from fastapi import FastAPI

from app.core.config import load
from app.core.runtime import Feature, Runtime
from app.security.rate_limits import RateLimits
from app.security.settings import SecuritySettings


def _setup(_: FastAPI, runtime: Runtime) -> None:
    settings = runtime[SecuritySettings] = load(SecuritySettings)
    runtime[RateLimits] = RateLimits(settings)


feature = Feature(setup=_setup)
