"""Settings of the relay."""

import pytest

from app.core.config import ConfigurationError, load
from app.outbox import OutboxSettings


@pytest.mark.parametrize("seconds", ["0", "61", "soon"])
def test_invalid_poll_interval_is_rejected(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", seconds)

    with pytest.raises(ConfigurationError, match="OUTBOX_POLL_SECONDS: "):
        load(OutboxSettings)


def test_default_poll_interval() -> None:
    assert load(OutboxSettings).poll_seconds == 0.25
