"""Refresh token queries."""

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.modules.auth.models import LoginSession
from app.modules.token.models import RefreshToken


class TokenRepository:
    """Refresh token queries."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, token: RefreshToken) -> None:
        """Store an issued token."""
        self.session.add(token)
        await self.session.flush()

    async def lock_session(self, digest: str) -> LoginSession | None:
        """Return the session of a token, and lock it against concurrent refreshes until the commit.

        The session is always locked before its tokens. In the opposite order, a refresh and the end of the
        same session could deadlock.
        """
        query = select(LoginSession).join(RefreshToken, col(RefreshToken.session_id) == col(LoginSession.id))
        query = query.where(col(RefreshToken.digest) == digest, col(LoginSession.expires_at) > utc_now())
        return (await self.session.exec(query.with_for_update(of=LoginSession))).one_or_none()

    async def mark_used(self, digest: str) -> bool:
        """Mark a token as used; return whether it was unused. Of concurrent calls, exactly one succeeds."""
        now = utc_now()
        unused = update(RefreshToken).where(col(RefreshToken.digest) == digest, col(RefreshToken.used_at).is_(None))
        used = await self.session.exec(unused.values(used_at=now).returning(col(RefreshToken.digest)))
        return used.scalar_one_or_none() is not None

    async def get(self, digest: str) -> RefreshToken | None:
        """Return a token, whether used or not."""
        query = select(RefreshToken).where(col(RefreshToken.digest) == digest)
        return (await self.session.exec(query.execution_options(populate_existing=True))).one_or_none()
