"""The command-line interface: `uv run app --help`."""

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from app.core import server
from app.core.config import Environment, load_all
from app.db.commands import command_context
from app.features import FEATURES
from app.main import create_app
from app.modules import discover

app = typer.Typer(
    no_args_is_help=True,
    help="Manage the service.",
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
openapi = typer.Typer(no_args_is_help=True, help="Export the OpenAPI document.")
app.add_typer(openapi, name="openapi")


# A module without `COMMANDS` adds commands to the group of another module.
for _module in (*(import_module(name) for feature in FEATURES for name in feature.commands), *discover("commands")):
    for _name, _commands in getattr(_module, "COMMANDS", {}).items():
        app.add_typer(_commands, name=_name)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="HOST, else 127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default="PORT, else 8000")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when a file below app/ changes.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Number of HTTP server processes.")] = 1,
) -> None:
    """Start the HTTP server.

    With ENV=dev, the database is migrated first. If DATABASE_URL is not set, a development database is created.
    """
    with command_context() as settings:
        host, port = host or settings.host, port or settings.port
        with server.listen(host, port) as listening:
            os.environ["PORT"] = str(port)  # so that the app and the processes it starts use the same port
            if settings.env is Environment.DEV:
                for prepare in filter(None, (feature.prepare_development for feature in FEATURES)):
                    prepare()
            load_all()
            server.run("app.start:create_app", settings, listening, reload=reload, workers=workers)


@openapi.command()
def export(path: Annotated[Path, typer.Argument(help="Output file.")] = Path("openapi.json")) -> None:
    """Write the OpenAPI document to a file."""
    with command_context():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        typer.echo(f"written: {path}")
