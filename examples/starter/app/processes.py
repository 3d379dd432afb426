"""The processes of the service: what each serves and runs, and on which port. `app run NAME` starts one of them.

All of them are the same application: the same features, settings and health endpoints. In development, `app serve`
also runs jobs if `REDIS_URL` is not set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from app import jobs
from app.api import router
from app.core import server
from app.core.config import ConfigurationError, load_all
from app.core.logging import named_process
from app.core.runtime import Lifespan, runtime_of
from app.db.commands import command_context
from app.main import create_app
from app.outbox import BackgroundWork


@dataclass(frozen=True)
class Process:
    """A process of the service.

    Attributes:
        help: What it does, for `app run --help`.
        port: Port of its health endpoints and routes.
        background: Background work of the process.
        checks: Checks before it starts; each raises `ConfigurationError`.
        serves: Whether it serves the routes of a module, given the module's name.
    """

    help: str
    port: int
    background: Sequence[Lifespan] = ()
    checks: Sequence[Callable[[], object]] = ()
    serves: Callable[[str], bool] = lambda _: False


def _require_destination() -> None:
    """Require a server to which the relay sends messages."""
    errors = []
    for require in [jobs.require_redis]:
        try:
            require()
        except ConfigurationError as error:
            errors.append(str(error))
        else:
            return
    raise ConfigurationError("\n".join(errors))


PROCESSES = {
    "relay": Process(
        "Send committed jobs and events to Redis. One is enough; several can run safely.",
        port=8102,
        background=[jobs.relay_jobs],
        checks=[_require_destination],
    ),
    "worker": Process(
        "Run jobs. Start as many as you need.",
        port=8101,
        background=[jobs.run_jobs(*jobs.Queue)],
        checks=[jobs.require_redis],
    ),
    "scheduler": Process(
        "Enqueue periodic tasks when they are due. One is enough; several can run safely.",
        port=8103,
        background=[jobs.enqueue_periodic_tasks],
        checks=[jobs.require_redis],
    ),
}


def create(name: str) -> FastAPI:
    """Create the application of a process.

    Raises:
        ConfigurationError: If a setting is invalid, or something that the process needs is missing.
    """
    process = PROCESSES[name]
    load_all()
    for check in process.checks:
        check()
    routes = APIRouter()
    routes.routes.extend(route for route in router.routes if process.serves(_module_of(route)))
    app = create_app(routes=routes)
    # Replaces what features add for development, where `app serve` also does the work of other processes.
    runtime_of(app)[BackgroundWork] = BackgroundWork(process.background)
    return app


def _module_of(route: BaseRoute) -> str:
    """Return the module whose routes an included router has, such as `user`."""
    [context, *_] = iter_route_contexts([route])
    endpoint: str = context.endpoint.__module__  # app.modules.user.routes
    return endpoint.removeprefix("app.modules.").partition(".")[0]


run = typer.Typer(
    no_args_is_help=True,
    help="Run one process of the service until it is stopped.\n\n"
    "Exit codes: 0 stopped by a signal; 1 the port is in use; 78 a setting is invalid, or a required server is missing.",
)
COMMANDS = {"run": run}


def _add_command(name: str, process: Process) -> None:
    @run.command(name, help=process.help)
    def command(
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = process.port,
    ) -> None:
        with command_context() as settings, named_process(name):
            app = create(name)
            with server.listen(host, port, host_setting="--host", port_example="--port 8111") as listening:
                server.run(lambda: app, settings, listening)


for _name, _process in PROCESSES.items():
    _add_command(_name, _process)
