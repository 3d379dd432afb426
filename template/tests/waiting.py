"""Waiting for something to happen, on a machine of any speed."""

import asyncio
from collections.abc import Awaitable, Callable

from httpx2 import AsyncClient

# Only ends a test that would never end: no test depends on the speed of the machine.
TIMEOUT_SECONDS = 300


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until a condition is true that no event announces."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not (await found if isinstance(found := condition(), Awaitable) else found):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


async def until_ready(client: AsyncClient) -> dict[str, str]:
    """Wait until an app says that it is ready, and return its checks: a slow one passes for one that failed."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (response := await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
    checks: dict[str, str] = response.json()["checks"]
    return checks
