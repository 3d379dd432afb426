"""Fixtures for the token tests."""

from tests.modules.password.conftest import _quick_hashes

__all__ = ["_quick_hashes"]
