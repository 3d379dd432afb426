"""Statistics endpoints."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from app.db.session import SessionDep
from app.modules.statistics.models import DailyCount
from app.modules.statistics.schemas import DailyCountRead
from app.modules.statistics.service import StatisticsService

router = APIRouter(tags=["statistics"])


@router.get("", summary="List daily event counts", response_model=list[DailyCountRead])
async def list_counts(
    session: SessionDep,
    days: Annotated[int, Query(ge=1, le=366, description="Number of days, including today.")] = 7,
) -> Sequence[DailyCount]:
    """List the number of events by day and type. The newest events may not be counted yet."""
    return await StatisticsService(session).since(days)
