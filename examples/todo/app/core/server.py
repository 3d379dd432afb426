"""Serving an app with uvicorn, until told to stop."""

import errno
import signal
import socket
import sys
from collections.abc import Callable

import typer
import uvicorn
from fastapi import FastAPI

from app.core.config import Settings


def require_free(host: str, port: int, host_from: str = "HOST", another: str = "PORT=8001") -> None:
    """Say what to do about a port in use, before anything else is started.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        host_from: What has set the address.
        another: How another port is chosen, for example.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        advice = f"Choose another, for example {another}." if taken else f"Is {host_from} right?"
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
    """Serve what `factory` makes: a function, or for several processes its name, `module:function`.

    Args:
        factory: What makes the app, in each process anew.
        settings: How to serve.
        host: Address to listen on.
        port: Port to listen on.
        reload: Restart when a file below `app/` changes.
        workers: Processes that answer.
    """
    # uvicorn repeats the signal once it has stopped; leaving in order then also stops a development database.
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
