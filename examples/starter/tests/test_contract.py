"""Property-based tests of the API against its OpenAPI document.

schemathesis generates valid and invalid requests and sends them to a running server. No
response may be an internal error or be missing from the document.
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
from app.core.runtime import runtime_of
from app.db import dialect
from app.db.base import Base
from app.db.session import Database, transaction
from app.main import create_app
from tests.conftest import run_in_thread
from tests.users import admin_headers
from tests.waiting import TIMEOUT_SECONDS

# The requests are the same in each run. To test more: CONTRACT_EXAMPLES=500 just test
MAX_EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "15"))


# Excluded: the feed, because its response is endless, and routes that end the session of the tests.
api = (
    schemathesis.openapi.from_dict(create_app(Settings(env=Environment.TEST)).openapi())
    .exclude(path_regex="/feed$")
    .exclude(path_regex="/auth/logout$")
    .exclude(path_regex="/auth/", method="DELETE")
)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis uses it for some invalid requests
@api.parametrize()
@settings(max_examples=MAX_EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_responses_match_the_openapi_document(case: Case, server: str, headers: dict[str, str]) -> None:
    # Some requests that match the schema are rejected, for example with an invalid cursor. A request with two kinds of
    # credentials is accepted if one is valid; other tests check that credentials are required.
    excluded = [positive_data_acceptance, ignored_auth]
    case.call_and_validate(base_url=server, headers=headers, excluded_checks=excluded, timeout=TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app()


@pytest.fixture(scope="module")
def headers(app: FastAPI) -> dict[str, str]:
    """Request headers of an administrator."""
    result: dict[str, str] = run_in_thread(asyncio.run, create_admin_headers(app))
    return result


async def create_admin_headers(app: FastAPI) -> dict[str, str]:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        runtime_of(app)[Database] = database
        return await admin_headers(app)


@pytest.fixture(scope="module")
def server(app: FastAPI, headers: dict[str, str]) -> Generator[str]:
    """A server that runs during the tests."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
    run_in_thread(asyncio.run, delete_all_rows())


async def delete_all_rows() -> None:
    async with (
        dialect.open_database(load(dialect.DatabaseSettings)) as database,
        transaction(database.write) as session,
    ):
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(table.delete())
