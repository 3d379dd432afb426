"""The API keeps what its description promises, whatever it is sent.

schemathesis makes requests up from the description, valid and invalid ones, and sends
them to a real server: no internal error, no answer that is not described.
"""

import asyncio
import os
import socket
from collections.abc import Generator
from threading import Thread

import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import ignored_auth, positive_data_acceptance

from app.core.config import Environment, Settings, load
from app.db import dialect
from app.db.base import Base
from app.db.session import transaction
from app.main import create_app
from tests.conftest import in_a_thread
from tests.people import administrator
from tests.waiting import TIMEOUT_SECONDS

# The same requests each time, so that a check that passed does not fail tomorrow. More: CONTRACT_EXAMPLES=500 just test
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "15"))


# The feed has no end, and so no answer that could be compared; and whoever signs out sees nothing afterwards.
api = (
    schemathesis.openapi.from_dict(create_app(Settings(env=Environment.TEST)).openapi())
    .exclude(path_regex="/feed$")
    .exclude(path_regex="/auth/logout$")
    .exclude(path_regex="/auth/", method="DELETE")
)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does, for some invalid requests
@api.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_its_promises(case: Case, server: str, headers: dict[str, str]) -> None:
    # A cursor is text, but not every text is a cursor: well-formed requests may be refused. And whoever shows two proofs
    # of who they are is let in by one of them; that nobody comes in without any is tested elsewhere.
    excluded = [positive_data_acceptance, ignored_auth]
    case.call_and_validate(base_url=server, headers=headers, excluded_checks=excluded, timeout=TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app()


@pytest.fixture(scope="module")
def headers(app: FastAPI) -> dict[str, str]:
    """What an administrator sends along."""
    result: dict[str, str] = in_a_thread(asyncio.run, open_administrator(app))
    return result


async def open_administrator(app: FastAPI) -> dict[str, str]:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as app.state.database:
        return await administrator(app)


@pytest.fixture(scope="module")
def server(app: FastAPI, headers: dict[str, str]) -> Generator[str]:
    """A server that runs meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
    in_a_thread(asyncio.run, delete_everything())


async def delete_everything() -> None:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.writers) as session,
    ):
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(table.delete())
