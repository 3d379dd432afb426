"""What every table has in common."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, MetaData
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import declared_attr
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

# Constraint names are part of the program: `db/errors.py` finds the domain error by them.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored in UTC and read back with its time zone, on every database.

    Raises:
        ValueError: If a datetime without time zone is stored; it names no moment.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value and value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: Any) -> Any:
        """Convert what SQLite returns. The connections to PostgreSQL speak UTC, and a list has three moments a row."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the time zone back that SQLite does not keep."""
        return value and value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


class Base(SQLModel):
    """Base of all tables: one metadata, with names for every constraint."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Expiring(Base):
    """A row that is of no use after a time. `app db purge` deletes what has expired, whatever the table."""

    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Entity(Base):
    """A thing with an identity, which knows when it came, when it changed, and how often.

    The version makes two changes at once impossible: SQLAlchemy puts it into the WHERE of
    each UPDATE, and the second one finds no row. It is the ETag as well.
    """

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, sa_column_kwargs={"onupdate": utc_now})
    version: int = Field(default=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - SQLAlchemy calls it with the class
        """Name the version column."""
        return {"version_id_col": cls.__table__.c.version}  # ty: ignore[missing-attribute]
