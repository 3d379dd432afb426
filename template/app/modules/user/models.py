"""User table."""

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from app.db.base import Entity

EMAIL_UNIQUE = "uq_user_account_email"


class User(Entity, table=True):
    """A user. The email address is in lower case (see `schemas.Email`), so that it is unique regardless of case."""

    __tablename__ = "user_account"  # `user` is a reserved word in SQL
    __table_args__ = (
        UniqueConstraint("email", name=EMAIL_UNIQUE),
        Index("ix_user_account_created_at", "created_at", "id"),
    )

    email: str = Field(max_length=254)
    name: str = Field(max_length=100)
