"""The JWT feature: app state, and the development secret."""

import os
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI

from app import jwt
from app.core.runtime import runtime_of
from app.jwt.access_tokens import AccessTokens
from app.jwt.keys import dump_keys, generate
from app.jwt.passwords import Passwords
from app.jwt.settings import JwtSettings, development_secret, new_secret_key


def test_setup_provides_tokens_and_passwords(app: FastAPI) -> None:
    user_id, runtime = uuid4(), runtime_of(app)
    tokens = runtime[AccessTokens]

    assert tokens.verify(tokens.issue(user_id, uuid4(), ())).user_id == user_id
    assert runtime[Passwords]._hashing.total_tokens == runtime[JwtSettings].hashing_threads


def test_development_secret_is_shared_by_reloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JWT_SECRET_KEY", "")  # so that monkeypatch restores it
    monkeypatch.delenv("JWT_SECRET_KEY")
    jwt.prepare_development()

    assert os.environ["JWT_SECRET_KEY"] == development_secret()


def test_configured_keys_are_kept_in_development(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(dump_keys(generate()), "utf-8")
    monkeypatch.setenv("JWT_KEYS_FILE", str(tmp_path / "keys.json"))
    jwt.prepare_development()
    assert "JWT_SECRET_KEY" not in os.environ

    monkeypatch.delenv("JWT_KEYS_FILE")
    monkeypatch.setenv("JWT_SECRET_KEY", own := new_secret_key())
    jwt.prepare_development()
    assert os.environ["JWT_SECRET_KEY"] == own
