"""Base classes of tables."""

from datetime import UTC, datetime
from enum import Enum as PythonEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Enum, MetaData
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import declared_attr
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

# The code depends on constraint names: `db/errors.py` maps them to domain errors.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A timestamp that is stored in UTC and read as a timezone-aware datetime, on every database.

    Raises:
        ValueError: If a naive datetime is stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value and value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: Any) -> Any:
        """Convert values on SQLite only: PostgreSQL returns UTC, and skipping the conversion makes lists faster."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the time zone, which SQLite does not store."""
        return value and value.replace(tzinfo=UTC)


def text_enum(enum: type[PythonEnum], length: int = 50) -> Enum:
    """Return a column type for an enum: `priority: Priority = Field(sa_type=text_enum(Priority))`.

    It stores the values of the members as text, so a new member needs no migration. Code that does not know a member
    cannot read it, so store a new member only after all processes are updated. SQLModel's default stores their
    names, on PostgreSQL in a database type, which migrations do not create for a new column.
    """
    return Enum(
        enum, native_enum=False, length=length, values_callable=lambda members: [str(each.value) for each in members]
    )


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class Base(SQLModel):
    """Base class of all tables, with a naming convention for constraints."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Expiring(Base):
    """A row with an expiry date. `app db purge` deletes expired rows of all tables."""

    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Entity(Base):
    """A table with an id, timestamps and a version.

    The version prevents lost updates: SQLAlchemy adds it to the WHERE clause of each UPDATE,
    so the second of two concurrent changes matches no row and fails. It is also the ETag.
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, sa_column_kwargs={"onupdate": utc_now})
    version: int = Field(default=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - SQLAlchemy calls it with the class
        """Configure the version column."""
        return {"version_id_col": cls.__table__.c.version}  # ty: ignore[missing-attribute]
