"""Statistics over HTTP."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from app.db.session import SessionDep
from app.modules.statistics.models import DailyCount
from app.modules.statistics.schemas import DailyCountRead
from app.modules.statistics.service import StatisticsService

router = APIRouter(tags=["statistics"])


@router.get("", summary="Count what has happened", response_model=list[DailyCountRead])
async def list_counts(
    session: SessionDep,
    days: Annotated[int, Query(ge=1, le=366, description="So many days, today included.")] = 7,
) -> Sequence[DailyCount]:
    """List how often what has happened, day by day. The newest events may not be counted yet."""
    return await StatisticsService(session).since(days)
