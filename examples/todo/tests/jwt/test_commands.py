"""Commands for signing keys: written files, permissions and output."""

import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.jwt.commands import commands
from app.jwt.keys import read_keys, read_public_keys, thumbprint


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def permissions(file: str | Path) -> int:
    return stat.S_IMODE(Path(file).stat().st_mode)


def secret_in(text: str) -> str:
    [value] = re.findall(r"^JWT_SECRET_KEY=(.+)$", text, re.MULTILINE)
    return str(value)


def test_secret_is_written_and_not_printed() -> None:
    result = run("secret")

    assert result.output == "JWT_SECRET_KEY written to .env\n"
    assert len(secret_in(Path(".env").read_text("utf-8"))) > 64
    assert permissions(".env") == 0o600


def test_only_the_secret_is_set() -> None:
    Path(".env.example").write_text("ENV=dev\n# JWT_SECRET_KEY=\n", "utf-8")
    assert run("secret").exit_code == 0

    # A server with a new secret must not start in development mode.
    written = Path(".env").read_text("utf-8")
    assert written == f"JWT_SECRET_KEY={secret_in(written)}\n"


@pytest.mark.parametrize(
    "before", ["ENV=dev\nPORT=9000\n", "ENV=dev\nPORT=9000", "ENV=dev\nPORT=9000\n\nJWT_SECRET_KEY=\n"]
)
def test_other_settings_are_kept(before: str) -> None:
    Path(".env").write_text(before, "utf-8")
    assert run("secret").exit_code == 0

    lines = [line for line in Path(".env").read_text("utf-8").splitlines() if line]
    assert lines[:2] == ["ENV=dev", "PORT=9000"]
    assert len(lines) == 3


@pytest.mark.parametrize(
    "present", ["JWT_SECRET_KEY=hunter2", "export JWT_SECRET_KEY = 'hunter2'", " jwt_secret_key=hunter2"]
)
def test_secret_is_replaced_only_with_the_option(present: str) -> None:
    before = f"# JWT_SECRET_KEY=\n{present}\nPORT=9000\n"
    Path(".env").write_text(before, "utf-8")

    result = run("secret")
    assert result.exit_code == 1
    assert result.output == "JWT_SECRET_KEY is set in .env. To replace it: app keys secret --replace\n"
    assert Path(".env").read_text("utf-8") == before

    assert run("secret", "--replace").exit_code == 0
    after = Path(".env").read_text("utf-8")
    assert after == f"# JWT_SECRET_KEY=\nJWT_SECRET_KEY={secret_in(after)}\nPORT=9000\n"


def test_symlink_is_kept(folder: Path) -> None:
    (folder / "shared").mkdir()
    Path(".env").symlink_to("shared/.env")
    Path("shared/.env").write_text("PORT=9000\n", "utf-8")
    assert run("secret").exit_code == 0

    assert Path(".env").is_symlink()
    assert secret_in(Path("shared/.env").read_text("utf-8"))


def test_existing_key_file_is_not_overwritten() -> None:
    result = run("generate")
    file = Path(".data/jwt-keys.json")
    before = file.read_text("utf-8")

    assert result.output.startswith(f"written: {file}\nSet JWT_KEYS_FILE={file}")
    assert permissions(file) == 0o600
    assert len(read_keys(file)) == 2

    again = run("generate")
    assert again.exit_code == 1
    assert again.output == f"{file} exists. To rotate its keys: app keys rotate {file}\n"
    assert file.read_text("utf-8") == before


def test_keys_are_rotated() -> None:
    run("generate", "keys.json")
    [signing, following] = map(thumbprint, read_keys(Path("keys.json")))

    assert run("rotate", "keys.json").output == "written: keys.json\nRestart the service to use it.\n"
    assert [thumbprint(key) for key in read_keys(Path("keys.json"))][::2] == [following, signing]
    assert permissions("keys.json") == 0o600
    assert [path.name for path in Path.cwd().iterdir()] == ["keys.json"]


def test_public_keys_are_written() -> None:
    run("generate", "keys.json")
    result = run("public", "keys.json", "public.json")

    assert result.output.startswith("written: public.json\nSet JWT_PUBLIC_KEYS_FILE=public.json")
    assert list(map(thumbprint, read_public_keys(Path("public.json")))) == [
        thumbprint(key) for key in read_keys(Path("keys.json"))
    ]


def test_public_keys_need_a_private_key_file() -> None:
    result = run("public", "keys.json", "public.json")

    assert (result.exit_code, result.output) == (1, "keys.json cannot be read: No such file or directory\n")
    assert not Path("public.json").exists()


def test_invalid_file_is_not_rotated() -> None:
    Path("keys.json").write_text("hunter2", "utf-8")
    result = run("rotate", "keys.json")

    assert result.exit_code == 1
    assert result.output == "keys.json is not a JWK set. To create it: app keys generate\n"
    assert Path("keys.json").read_text("utf-8") == "hunter2"


def test_help_lists_the_key_commands() -> None:
    shown = run("--help").output
    assert all(command in shown for command in ("secret", "generate", "rotate", "public"))
