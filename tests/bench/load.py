"""Send one request repeatedly on several connections, and measure the responses: `python -m tests.bench.load`.

It runs in a separate process, so that its CPU time is not counted. It implements only the necessary part of HTTP/1.1.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.rendering import ROOT


@dataclass(frozen=True)
class Request:
    """The request to send."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def wire(self) -> bytes:
        """Return the bytes of the request."""
        given = {"Host": "127.0.0.1", "Content-Type": "application/json", **self.headers}
        lines = [f"{name}: {value}" for name, value in (given | {"Content-Length": str(len(self.body))}).items()]
        return "\r\n".join([f"{self.method} {self.path} HTTP/1.1", *lines, "", self.body]).encode()


@dataclass(frozen=True)
class Load:
    """The results of sending requests."""

    requests: int
    failures: int  # responses other than 2xx
    rps: float
    p50: float  # milliseconds
    p99: float  # milliseconds


def send(port: int, request: Request, connections: int, seconds: float) -> Load:
    """Send a request repeatedly, from another process."""
    parameters = {"port": port, "wire": request.wire().hex(), "connections": connections, "seconds": seconds}
    command = [sys.executable, "-m", "tests.bench.load"]
    output = subprocess.run(
        command, cwd=ROOT, input=json.dumps(parameters), capture_output=True, text=True, check=True
    ).stdout
    return Load(**json.loads(output))


@dataclass
class Outcome:
    """The measurements of all connections."""

    seconds: list[float] = field(default_factory=list)  # of each response
    failures: int = 0  # responses other than 2xx
    ends: float = 0.0  # on the monotonic clock


class Connection(asyncio.Protocol):
    """Sends the next request when the previous response is complete."""

    def __init__(self, request: bytes, outcome: Outcome) -> None:
        self.request, self.outcome = request, outcome
        self.buffer = b""
        self.began = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if found and self._is_complete(head.lower(), body):
            self._record(head)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.closed.done():
            self.closed.set_result(None)

    @staticmethod
    def _is_complete(head: bytes, body: bytes) -> bool:
        _, found, rest = head.partition(b"content-length:")
        if found:
            return len(body) >= int(rest.partition(b"\r\n")[0])
        return b"chunked" in head and body.endswith(b"0\r\n\r\n")

    def _record(self, head: bytes) -> None:
        now = time.monotonic()
        self.outcome.seconds.append(now - self.began)
        self.outcome.failures += head[9:10] != b"2"
        if now < self.outcome.ends:
            self._send()
        else:
            self.transport.close()

    def _send(self) -> None:
        self.buffer, self.began = b"", time.monotonic()
        self.transport.write(self.request)


async def load(port: int, wire: str, connections: int, seconds: float) -> dict[str, float]:
    """Send requests for some seconds; return the requests per second, and the latencies in milliseconds."""
    loop, outcome = asyncio.get_running_loop(), Outcome(ends=time.monotonic() + seconds)
    began = time.monotonic()
    opened = [
        (await loop.create_connection(lambda: Connection(bytes.fromhex(wire), outcome), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(connection.closed for connection in opened)), seconds + 60)
    percentiles = statistics.quantiles(outcome.seconds, n=100) if len(outcome.seconds) > 1 else [0.0] * 99
    return {
        "requests": len(outcome.seconds),
        "failures": outcome.failures,
        "rps": len(outcome.seconds) / (time.monotonic() - began),
        "p50": percentiles[49] * 1000,
        "p99": percentiles[98] * 1000,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(**json.load(sys.stdin)))))  # noqa: T201 - read by the parent process
