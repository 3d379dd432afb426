"""Valid data, made up."""

from polyfactory.factories.pydantic_factory import ModelFactory

from app.modules.user.schemas import UserCreate


class UserCreateFactory(ModelFactory[UserCreate]):
    """New accounts, each with another address."""

    @classmethod
    def email(cls) -> str:
        return f"{cls.__random__.getrandbits(64):x}@example.com"

    @classmethod
    def name(cls) -> str:
        return cls.__faker__.name()
