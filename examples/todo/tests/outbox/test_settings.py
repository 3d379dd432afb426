"""Settings of the relay."""

import pytest

from app.core.config import ConfigurationError, load
from app.outbox import OutboxSettings


@pytest.mark.parametrize("seconds", ["0", "61", "soon"])
def test_a_pause_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("OUTBOX_POLL_SECONDS", seconds)

    with pytest.raises(ConfigurationError, match="OUTBOX_POLL_SECONDS: "):
        load(OutboxSettings)


def test_an_idle_relay_looks_a_few_times_a_second() -> None:
    assert load(OutboxSettings).poll_seconds == 0.25
