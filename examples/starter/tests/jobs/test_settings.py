"""Settings of the workers: invalid values are rejected, and errors do not contain them."""

from pathlib import Path

import pytest

from app.core.config import ConfigurationError, load
from app.jobs.settings import WorkerSettings

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENV": "prod"}, "REDIS_URL: must be set. Example: redis://"),
        ({"REDIS_URL": SECRET}, "REDIS_URL: must be a Redis URL. Example: redis://"),
        ({"REDIS_URL": f"http://ada:{SECRET}@localhost"}, "REDIS_URL: must be a Redis URL"),
        ({"REDIS_URL": f"redis://ada:{SECRET}@localhost:port/0"}, "REDIS_URL: must be a Redis URL"),
        ({"REDIS_URL": ""}, "REDIS_URL: must be a Redis URL"),
        ({"WORKER_JOBS": "0"}, "WORKER_JOBS: Input should be greater than or equal to 1"),
        ({"WORKER_STOP_SECONDS": "-1"}, "WORKER_STOP_SECONDS: Input should be greater than or equal to 0"),
    ],
)
def test_invalid_settings_are_rejected_without_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a valid .env would hide the error
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as refusal:
        load(WorkerSettings)
    assert expected in str(refusal.value)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://ada:secret@redis.example.com:6380/1", "unix:///tmp/r"])
def test_redis_urls_are_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    settings = load(WorkerSettings)

    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url
    assert "secret" not in repr(settings)


def test_redis_is_optional_in_development() -> None:
    assert load(WorkerSettings).redis_url is None
