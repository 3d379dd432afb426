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
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import positive_data_acceptance

from app.core.config import Environment, Settings, load
from app.db import dialect
from app.db.base import Base
from app.db.session import transaction
from app.main import create_app
from tests.conftest import in_a_thread

# The same requests each time, so that a check that passed does not fail tomorrow. More: CONTRACT_EXAMPLES=500 just test
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "15"))


# The feed has no end, and so no answer that could be compared.
api = schemathesis.openapi.from_dict(create_app(Settings(env=Environment.TEST)).openapi()).exclude(path_regex="/feed$")


@api.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_its_promises(case: Case, server: str) -> None:
    # A cursor is text, but not every text is a cursor: well-formed requests may be refused.
    case.call_and_validate(base_url=server, excluded_checks=[positive_data_acceptance])


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    """A server that runs meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(), log_config=None, access_log=False))
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
