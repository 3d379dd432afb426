"""Serves an app with uvicorn."""

import errno
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
import typer
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import ChangeReload, Multiprocess

from app.core.config import Settings
from app.core.protocol import HttpProtocol

# uvicorn kills a worker process that does not respond within this time. Until it has imported its first modules, a
# process cannot respond; on a busy machine that takes much longer than uvicorn's default of 5 seconds.
WORKER_RESPONSE_SECONDS = 120

logger = structlog.get_logger(__name__)


def listen(host: str, port: int, host_setting: str = "HOST", port_example: str = "PORT=8001") -> socket.socket:
    """Return a listening socket, or exit with an explanation if the address is in use or invalid.

    The explanation names the setting of the address, and shows how to choose another port. The
    address `::` accepts IPv4 as well.
    """
    ipv6 = ":" in host
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ipv6 else socket.AF_INET,
            dualstack_ipv6=ipv6 and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        advice = f"Choose another, for example {port_example}." if in_use else f"Check {host_setting}."
        reason = str(error.strerror).partition(" (")[0]
        typer.echo(f"Cannot listen on {host}, port {port}: {reason}.\n{advice}", err=True)
        raise typer.Exit(1) from None


def run(
    factory: str | Callable[[], FastAPI],
    settings: Settings,
    listening: socket.socket,
    *,
    reload: bool = False,
    workers: int = 1,
) -> None:
    """Run the server on a listening socket until it is stopped.

    Each process calls `factory`. With `reload` or several workers, it must be an import string: `module:function`.
    """
    # uvicorn raises the signal again after it has stopped; a regular exit then also stops a development database.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        factory,
        factory=True,
        http=partial(HttpProtocol, settings),  # ty: ignore[invalid-argument-type]  # uvicorn only calls it
        reload=reload,
        reload_dirs=["app"] if reload else None,
        workers=None if reload else workers,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        timeout_worker_healthcheck=WORKER_RESPONSE_SECONDS,
    )
    host, port, *_ = listening.getsockname()
    logger.info("listening", url=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        if reload:
            ChangeReload(config, target=server.run, sockets=[listening]).run()
        elif workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            server.run(sockets=[listening])
