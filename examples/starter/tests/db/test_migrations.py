"""Migrations: upgrades, downgrades, and the comparison with the models."""

import re
import shutil
from collections.abc import Generator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.script import ScriptDirectory

from app.db import migrations
from tests.conftest import run_in_thread
from tests.database import create_database

REVISIONS = [revision.revision for revision in ScriptDirectory.from_config(migrations.config()).walk_revisions()][::-1]


@pytest.fixture
def empty(shared_folder: Path) -> Generator[None]:
    """An empty database, instead of the one of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL")
        patch.setenv("DATABASE_URL", create_database(shared_folder, f"empty_{uuid4().hex}"))
        yield


REBUILD = '''
"""Change a table that another table references."""

import sqlalchemy as sa
from alembic import op

revision = "rebuild"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table(
        "child", sa.Column("parent", sa.Uuid(), sa.ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    )
    op.execute("INSERT INTO user_account VALUES ({parent}, {now}, {now}, 1, 'ada@example.com', 'Ada')")
    op.execute("INSERT INTO child VALUES ({parent})")
    with op.batch_alter_table("user_account") as table:
        table.alter_column("name", type_=sa.String(length=120), existing_type=sa.String(length=100))
    assert op.get_bind().execute(sa.text("SELECT count(*) FROM child")).scalar() == 1
'''


def test_altering_a_table_keeps_referencing_rows(empty: None, project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "alembic", tmp_path / "alembic")
    shutil.copy(project / "alembic.ini", tmp_path)
    values = {"newest": REVISIONS[-1], "parent": f"'{uuid4().hex}'", "now": "'2030-01-01 00:00:00'"}
    (tmp_path / "alembic/versions/rebuild.py").write_text(REBUILD.format(**values), encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        run_in_thread(migrations.upgrade)


CHAIN = """
import sqlalchemy as sa
from alembic import op

revision = "chain"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("link_0", sa.Column("id", sa.Uuid(), primary_key=True))
    for number in range(1, 6):
        refers = sa.ForeignKey(f"link_{{number - 1}}.id", name=f"fk_link_{{number}}")
        op.create_table(f"link_{{number}}", sa.Column("id", sa.Uuid(), refers, primary_key=True))
"""


def test_referencing_tables_are_dropped_first(empty: None, project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "alembic", tmp_path / "alembic")
    shutil.copy(project / "alembic.ini", tmp_path)
    (tmp_path / "alembic/versions/chain.py").write_text(CHAIN.format(newest=REVISIONS[-1]), encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        run_in_thread(migrations.generate, "without links")
        run_in_thread(migrations.upgrade)
        run_in_thread(migrations.downgrade, "-1")
    [written] = (tmp_path / "alembic/versions").glob("*without_links*")
    dropped = re.findall(r"op\.drop_table\(.link_(\d)", written.read_text(encoding="utf-8"))
    assert dropped == ["5", "4", "3", "2", "1", "0"]


def test_each_migration_upgrades_and_downgrades(empty: None) -> None:
    for revision in REVISIONS:
        run_in_thread(migrations.upgrade, revision)
        run_in_thread(migrations.downgrade, "-1")
        run_in_thread(migrations.upgrade, revision)
    run_in_thread(migrations.check)
    run_in_thread(migrations.downgrade, "base")
