"""Request and response models for users."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, EmailStr, Field

from app.core.schemas import EntityModel, RequestModel, omittable

# 254 is the maximum length of an email address (RFC 5321 §4.5.3.1.3).
Email = Annotated[EmailStr, AfterValidator(str.lower), Field(max_length=254, examples=["ada@example.com"])]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["Ada Lovelace"])]


class UserOrder(StrEnum):
    """Sort orders for users; `-` means descending."""

    CREATED_AT = "created_at"
    NEWEST = "-created_at"
    EMAIL = "email"
    EMAIL_DESCENDING = "-email"


class UserCreate(RequestModel):
    """A new user."""

    email: Email
    name: Name


class UserUpdate(RequestModel):
    """The fields to change. Omitted fields keep their values."""

    email: Email = omittable()
    name: Name = omittable()


class UserRead(EntityModel):
    """A user."""

    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
