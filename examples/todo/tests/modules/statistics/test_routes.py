"""Statistics endpoints."""

from datetime import timedelta

import pytest
from httpx2 import AsyncClient

from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.modules.statistics.service import StatisticsService
from tests.users import app_of, as_admin

STATISTICS = "/api/v1/statistics"


@pytest.fixture
def client(client: AsyncClient) -> AsyncClient:
    as_admin(client)
    return client


async def test_counts_are_listed_newest_first(client: AsyncClient) -> None:
    now = utc_now()
    async with transaction(runtime_of(app_of(client))[Database].write) as session:
        await StatisticsService(session).count(
            [(now, "Opened"), (now, "Opened"), (now - timedelta(days=6), "Opened"), (now - timedelta(days=7), "Opened")]
        )
    response = await client.get(STATISTICS)

    assert response.status_code == 200
    assert response.json() == [
        {"day": f"{now.date()}", "type": "Opened", "count": 2},
        {"day": f"{(now - timedelta(days=6)).date()}", "type": "Opened", "count": 1},
    ]
    assert len((await client.get(STATISTICS, params={"days": 8})).json()) == 3


async def test_counts_are_empty_without_events(client: AsyncClient) -> None:
    assert (await client.get(STATISTICS)).json() == []


@pytest.mark.parametrize("days", ["0", "367", "all"])
async def test_invalid_number_of_days_is_rejected(client: AsyncClient, days: str) -> None:
    response = await client.get(STATISTICS, params={"days": days})

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "query.days"
