"""Commands that start one service of several."""

from typing import Annotated

import typer

from app.core.config import ConfigurationError, load
from app.db.commands import configured
from app.events.settings import EXAMPLE_SERVERS, KafkaSettings
from app.outbox import processes

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]

service = typer.Typer(
    no_args_is_help=True, help="Start one service of several; KAFKA_BOOTSTRAP_SERVERS must be set for all of them."
)


@service.command()
def auth(host: Host = "127.0.0.1", port: Port = 8001) -> None:
    """Answer what is about accounts: /api/v1/auth and /api/v1/users. It alone signs tokens."""
    _serve("auth", host, port)


@service.command()
def api(host: Host = "127.0.0.1", port: Port = 8002) -> None:
    """Answer everything else."""
    _serve("api", host, port)


@service.command()
def scheduler(host: Host = "127.0.0.1", port: Port = 8103) -> None:
    """Look at the clock. Of several one leads, and another one follows it; with SQLite start one."""
    _serve("scheduler", host, port)


@service.command()
def mailer(host: Host = "127.0.0.1", port: Port = 8105) -> None:
    """Write to people when something has happened."""
    _serve("mailer", host, port)


def _serve(name: str, host: str, port: int) -> None:
    """Serve it, unless `app serve` does its work: then a second one would only confuse."""
    with configured() as settings:
        if load(KafkaSettings).bootstrap_servers is None:
            raise ConfigurationError(
                "KAFKA_BOOTSTRAP_SERVERS is not set: in development `app serve` is all services in one process.\n"
                f"To have a process for each, set it for all of them. Example: {EXAMPLE_SERVERS}"
            )
        processes.serve(f"app.services.{name}:create_{name}", settings, host, port)
