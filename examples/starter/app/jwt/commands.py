"""Commands for signing keys. None of them prints a key."""

import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from app.db.commands import exit_with_error
from app.jwt import keys
from app.jwt.settings import JwtSettings, new_secret_key

VARIABLE = JwtSettings.variable("secret_key")
_SET = rf"[ \t]*(?:export[ \t]+)?{VARIABLE}[ \t]*="
_COMMENTED_OUT = rf"[ \t]*#[ \t]*{VARIABLE}[ \t]*="
KeysFile = Annotated[Path, typer.Argument(help="The key file (JWT_KEYS_FILE).")]
DEFAULT_FILE = Path(".data/jwt-keys.json")
PUBLIC_FILE = Path(".data/jwt-public-keys.json")

commands = typer.Typer(no_args_is_help=True, help="Manage the keys that sign access tokens.")
COMMANDS = {"keys": commands}


@commands.command()
def secret(
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the current secret; invalidates its tokens.")
    ] = False,
) -> None:
    """Write a new JWT_SECRET_KEY to .env."""
    file = Path(".env")
    text = file.read_text("utf-8") if file.exists() else ""
    if _is_set(text) and not replace:
        exit_with_error(f"{VARIABLE} is set in {file}. To replace it: app keys secret --replace")
    _write(file, _assign(text, new_secret_key()))
    typer.echo(f"{VARIABLE} written to {file}")


@commands.command()
def generate(file: KeysFile = DEFAULT_FILE) -> None:
    """Create a key file with a current and a next Ed25519 key."""
    if file.exists():
        exit_with_error(f"{file} exists. To rotate its keys: app keys rotate {file}")
    _write(file, keys.dump_keys(keys.generate()))
    typer.echo(f"written: {file}\nSet JWT_KEYS_FILE={file} where the service runs, and keep the file secret.")


@commands.command()
def rotate(file: KeysFile = DEFAULT_FILE) -> None:
    """Rotate the keys: the next key becomes the current one.

    Restart the service afterwards. Existing tokens stay valid: the previous key still verifies them, and the new current
    key has been published since the last rotation. Wait at least an hour before you rotate again. If a key was stolen,
    rotate twice immediately: the second rotation removes it.
    """
    try:
        current_keys = keys.read_keys(file)
    except ValueError as error:
        exit_with_error(error)
    _write(file, keys.dump_keys(keys.rotate(current_keys)))
    typer.echo(f"written: {file}\nRestart the service to use it.")


@commands.command()
def public(
    file: KeysFile = DEFAULT_FILE,
    to: Annotated[Path, typer.Argument(help="The public key file (JWT_PUBLIC_KEYS_FILE).")] = PUBLIC_FILE,
) -> None:
    """Write the public keys, for services that only verify tokens.

    Run it again after `rotate`, and restart the services in any order: the new current key has
    been among the public keys since the last rotation.
    """
    try:
        current_keys = keys.read_keys(file)
    except ValueError as error:
        exit_with_error(error)
    _write(to, keys.dump_public_keys(current_keys))
    typer.echo(f"written: {to}\nSet JWT_PUBLIC_KEYS_FILE={to} for services that only verify tokens.")


def _is_set(text: str) -> bool:
    return re.search(rf"(?im)^{_SET}.*\S", text) is not None


def _assign(text: str, value: str) -> str:
    """Replace the line of the variable, even if it is commented out, or append one."""
    line = f"{VARIABLE}={value}"
    for pattern in (_SET, _COMMENTED_OUT):
        changed, found = re.subn(rf"(?im)^{pattern}.*$", line, text)
        if found:
            return changed
    return f"{text.rstrip()}\n{line}\n".lstrip()


def _write(file: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=".env.", delete=False) as new:
        new.write(text)
    Path(new.name).replace(file)
