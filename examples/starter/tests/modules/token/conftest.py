"""Fixtures for the token tests."""

from tests.modules.password.conftest import fast_hashing

__all__ = ["fast_hashing"]
