"""Shared fixtures.

Each xdist worker has a separate, migrated database. A test uses it through one connection
whose transaction is rolled back at the end; commits of the app become savepoints in it, so
production code is tested unchanged. Tests that need real commits (several connections) use
`committing_client` instead, which deletes all rows afterwards.
"""

import gc
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core import events
from app.core.config import Environment, EnvSettings, Settings, load
from app.core.runtime import runtime_of
from app.db import dialect, migrations
from app.db.base import Base
from app.db.session import Database, transaction
from app.main import create_app
from app.start import GC_THRESHOLD
from tests.database import LIMITS, create_database
from tests.waiting import TIMEOUT_SECONDS

PROGRESS_SECONDS = 15
test_reported, session_finished = Event(), Event()


def pytest_configure() -> None:
    """Set ENV before any module reads it, so that editors and `uv run pytest` need no configuration."""
    os.environ["ENV"] = Environment.TEST


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Exclude existing objects from garbage collection, and raise its threshold, as the service does."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Report progress while the workers import the app and collect tests, which takes a minute on a busy machine."""
    Thread(target=report_slow_progress, args=[config.pluginmanager.getplugin("terminalreporter")], daemon=True).start()


def pytest_runtest_logreport() -> None:
    test_reported.set()


def pytest_sessionfinish() -> None:
    session_finished.set()
    test_reported.set()


def report_slow_progress(terminal: pytest.TerminalReporter) -> None:
    """Print a line whenever no test has finished for a while."""
    while not session_finished.is_set():
        if not test_reported.wait(PROGRESS_SECONDS):
            terminal.write_line(f"\nno result for {PROGRESS_SECONDS} seconds: still collecting, or a slow test")
        test_reported.clear()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that is shared by all processes of this test run."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session", autouse=True)
def environment(shared_folder: Path, worker_id: str) -> None:
    """Set the environment variables for the tests, and migrate the database."""
    database_url = create_database(shared_folder, f"test_{worker_id}")
    for name in settings_variables():  # ignore the settings of the developer
        os.environ.pop(name, None)
    # Timeouts are long, so that no test depends on the speed of the machine.
    os.environ["REQUEST_TIMEOUT_SECONDS"] = f"{TIMEOUT_SECONDS}"
    os.environ.update(LIMITS, ENV=Environment.TEST, DATABASE_URL=database_url)
    run_in_thread(migrations.upgrade)


def settings_variables(base: type[EnvSettings] = EnvSettings) -> set[str]:
    """The environment variables of all settings classes."""
    own = {base.variable(field) for field in base.model_fields}
    return own.union(
        *(settings_variables(child) for child in base.__subclasses__() if child.__module__.startswith("app."))
    )


def run_in_thread(function: Any, *arguments: Any) -> Any:
    """Call a function that starts its own event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


@pytest.fixture(scope="session")
def imported_modules() -> set[str]:
    """The modules that a server process has imported at startup."""
    serve = "import sys; from app import cli; cli.create_app(); print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", serve], check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture
def settings() -> Settings:
    """Settings of the app under test; override the fixture in a module to change them."""
    return load(Settings)


@pytest.fixture(scope="session")
async def committing_database() -> AsyncGenerator[Database]:
    """The database, opened as the app does."""
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        yield database


@pytest.fixture
async def database(committing_database: Database) -> AsyncGenerator[Database]:
    """A database whose commits are rolled back at the end of the test."""
    engine = committing_database.write.kw["bind"]
    async with engine.connect() as connection:
        outer = await connection.begin()
        sessions = async_sessionmaker(
            connection, class_=AsyncSession, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        yield Database(write=sessions, read_transaction=sessions, read_only=sessions, health=committing_database.health)
        await outer.rollback()


@pytest.fixture
async def session(database: Database) -> AsyncGenerator[AsyncSession]:
    """A session for tests without HTTP."""
    async with database.write() as session:
        yield session


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    """The app with the database of the test; its lifespan does not run."""
    app = create_app(settings)
    runtime_of(app)[Database] = database
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[AsyncClient]:
    """A client that calls the app in process."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
async def committing_client(committing_database: Database, settings: Settings) -> AsyncGenerator[AsyncClient]:
    """A client whose requests commit, each in its own transaction."""
    app = create_app(settings)
    runtime_of(app)[Database] = committing_database
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    async with transaction(committing_database.write) as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(table.delete())


IsolateRegistry = Callable[[str], Any]


@pytest.fixture
def isolate_registry(monkeypatch: pytest.MonkeyPatch) -> IsolateRegistry:
    """Replace a registry with a copy during the test: `isolate_registry("app.x._things")`."""

    def replace(name: str) -> Any:
        module, _, attribute = name.rpartition(".")
        registry = copy(getattr(import_module(module), attribute))
        monkeypatch.setattr(name, registry)
        return registry

    return replace


@pytest.fixture
def captured_events(isolate_registry: IsolateRegistry) -> list[events.Event]:
    """The published events; their handlers are not called."""
    seen: list[events.Event] = []

    async def record(_: AsyncSession, event: events.Event) -> None:
        seen.append(event)

    handlers = isolate_registry("app.core.events._handlers")
    handlers.clear()
    handlers[events.Event].append(record)
    return seen


@pytest.fixture
def project() -> Path:
    """The root of the project."""
    return Path(__file__).parents[1]
