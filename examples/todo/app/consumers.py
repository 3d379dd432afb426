"""The process that does what events ask for, and every module's consumers by name.

It is the app without its routes: the same features, and `/health` to ask.
"""

from fastapi import APIRouter, FastAPI

from app.events import processes
from app.main import create_app


def create_consumer(*names: str) -> FastAPI:
    """Build a process that does events, for the consumers of these names, or for all.

    Raises:
        LookupError: If there is no consumer of a name.
    """
    return create_app(routes=APIRouter(), background=[processes.consuming(*names)])
