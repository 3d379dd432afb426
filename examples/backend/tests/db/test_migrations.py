"""Migrations: they lead to the models, and back, one step at a time."""

from collections.abc import Generator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from app.db import migrations
from tests.conftest import in_a_thread
from tests.database import create_database

REVISIONS = [revision.revision for revision in ScriptDirectory.from_config(migrations.config()).walk_revisions()][::-1]


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Generator[None]:
    """An empty database in place of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.getbasetemp().parent
        patch.delenv("DATABASE_URL")
        patch.setenv("DATABASE_URL", create_database(folder, f"stairs_{worker_id}"))
        yield


def test_the_stairs_lead_up_and_down(empty: None) -> None:
    for revision in REVISIONS:
        in_a_thread(migrations.upgrade, revision)
        in_a_thread(migrations.downgrade, "-1")
        in_a_thread(migrations.upgrade, revision)
    in_a_thread(migrations.check)
    in_a_thread(migrations.downgrade, "base")
