"""Commands that start a single service."""

from typing import Annotated

import typer

from app.core.config import ConfigurationError, load
from app.db.commands import command_context
from app.messaging.settings import EXAMPLE_SERVERS, KafkaSettings
from app.outbox import processes

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]

service = typer.Typer(
    no_args_is_help=True, help="Start a single service. KAFKA_BOOTSTRAP_SERVERS must be set for all services."
)


@service.command()
def auth(host: Host = "127.0.0.1", port: Port = 8001) -> None:
    """Serve the authentication API; the only process that signs tokens."""
    _serve("auth", host, port)


@service.command()
def api(host: Host = "127.0.0.1", port: Port = 8002) -> None:
    """Serve all other endpoints."""
    _serve("api", host, port)


@service.command()
def scheduler(host: Host = "127.0.0.1", port: Port = 8103) -> None:
    """Run the scheduler. Of several instances, only one is active; with SQLite, start only one."""
    _serve("scheduler", host, port)


@service.command()
def mailer(host: Host = "127.0.0.1", port: Port = 8105) -> None:
    """Consume events and send emails."""
    _serve("mailer", host, port)


def _serve(name: str, host: str, port: int) -> None:
    """Start a service, unless `app serve` already includes it."""
    with command_context() as settings:
        if load(KafkaSettings).bootstrap_servers is None:
            raise ConfigurationError(
                "KAFKA_BOOTSTRAP_SERVERS is not set, so `app serve` runs all services in one process.\n"
                f"To run each service in a separate process, set it for all of them. Example: {EXAMPLE_SERVERS}"
            )
        processes.serve(f"app.services.{name}:create_{name}", settings, host, port)
