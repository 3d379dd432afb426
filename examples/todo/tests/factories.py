"""Factories for valid test data."""

from polyfactory.factories.pydantic_factory import ModelFactory

from app.modules.user.schemas import UserCreate


class UserCreateFactory(ModelFactory[UserCreate]):
    """Requests for new users, with unique email addresses."""

    @classmethod
    def email(cls) -> str:
        return f"{cls.__random__.getrandbits(64):x}@example.com"

    @classmethod
    def name(cls) -> str:
        return cls.__faker__.name()
