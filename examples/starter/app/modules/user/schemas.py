"""What clients send and get about users."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, EmailStr, Field

from app.core.schemas import EntityModel, RequestModel, omittable

# 254: the longest address that mail can be sent to (RFC 5321 §4.5.3.1.3).
Email = Annotated[EmailStr, AfterValidator(str.lower), Field(max_length=254, examples=["ada@example.com"])]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["Ada Lovelace"])]


class UserOrder(StrEnum):
    """How users can be listed; `-` means the other way round."""

    CREATED_AT = "created_at"
    NEWEST = "-created_at"
    EMAIL = "email"
    EMAIL_DESCENDING = "-email"


class UserCreate(RequestModel):
    """A new account."""

    email: Email
    name: Name


class UserUpdate(RequestModel):
    """The fields to change; the others stay as they are."""

    email: Email = omittable()
    name: Name = omittable()


class UserRead(EntityModel):
    """An account, as everybody may see it."""

    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
