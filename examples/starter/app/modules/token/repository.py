"""How refresh tokens are found and kept."""

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.modules.auth.models import LoginSession
from app.modules.token.models import RefreshToken


class TokenRepository:
    """The refresh tokens in the database."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def add(self, token: RefreshToken) -> None:
        """Keep a token that is handed out."""
        self.session.add(token)
        await self.session.flush()

    async def lock_session(self, digest: str) -> LoginSession | None:
        """Find the session of a token, and let nobody else refresh it until the commit.

        The session is locked before its tokens, always: the other way round, a refresh and
        the end of the same session could wait for each other.
        """
        query = select(LoginSession).join(RefreshToken, col(RefreshToken.session_id) == col(LoginSession.id))
        query = query.where(col(RefreshToken.digest) == digest, col(LoginSession.expires_at) > utc_now())
        return (await self.session.exec(query.with_for_update(of=LoginSession))).one_or_none()

    async def use(self, digest: str) -> bool:
        """Use a token up; tell whether it was still good. Of many at once only one succeeds."""
        now = utc_now()
        unused = update(RefreshToken).where(col(RefreshToken.digest) == digest, col(RefreshToken.used_at).is_(None))
        used = await self.session.exec(unused.values(used_at=now).returning(col(RefreshToken.digest)))
        return used.scalar_one_or_none() is not None

    async def get(self, digest: str) -> RefreshToken | None:
        """Find a token, used or not."""
        query = select(RefreshToken).where(col(RefreshToken.digest) == digest)
        return (await self.session.exec(query.execution_options(populate_existing=True))).one_or_none()
