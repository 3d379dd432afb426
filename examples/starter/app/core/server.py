"""Serves an app with uvicorn."""

import errno
import signal
import socket
import sys
from collections.abc import Callable

import typer
import uvicorn
from fastapi import FastAPI

from app.core.config import Settings


def ensure_port_is_free(host: str, port: int, host_setting: str = "HOST", port_example: str = "PORT=8001") -> None:
    """Exit with an explanation if the port is in use, before anything else is started.

    The explanation names the setting of the address, and shows how to choose another port.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        advice = f"Choose another, for example {port_example}." if in_use else f"Check {host_setting}."
        reason = str(error.strerror).partition(" (")[0]
        typer.echo(f"Cannot listen on {host}, port {port}: {reason}.\n{advice}", err=True)
        raise typer.Exit(1) from None


def run(
    factory: str | Callable[[], FastAPI],
    settings: Settings,
    host: str,
    port: int,
    *,
    reload: bool = False,
    workers: int = 1,
) -> None:
    """Run the server until it is stopped.

    Each process calls `factory`. With `reload` or several workers, it must be an import string: `module:function`.
    """
    # uvicorn raises the signal again after it has stopped; a regular exit then also stops a development database.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        factory,
        factory=True,
        host=host,
        port=port,
        reload=reload,
        reload_dirs=["app"] if reload else None,
        workers=None if reload else workers,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
    )
