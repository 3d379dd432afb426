"""Waits for conditions, independent of the speed of the machine."""

import asyncio
from collections.abc import Awaitable, Callable

from httpx2 import AsyncClient

# Only stops a test that would hang; no test depends on the speed of the machine.
TIMEOUT_SECONDS = 300


async def wait_until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Poll until a condition is true."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not (await found if isinstance(found := condition(), Awaitable) else found):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


async def wait_until_ready(client: AsyncClient) -> dict[str, str]:
    """Poll until an app is ready, and return its checks. A slow check may fail at first."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (response := await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
    checks: dict[str, str] = response.json()["checks"]
    return checks
