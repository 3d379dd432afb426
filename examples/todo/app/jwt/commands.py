"""Commands that make keys. None of them prints one."""

import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, NoReturn

import typer

from app.jwt import keys
from app.jwt.settings import JwtSettings, new_secret_key

VARIABLE = JwtSettings.variable("secret_key")
_SET = rf"[ \t]*(?:export[ \t]+)?{VARIABLE}[ \t]*="
_COMMENTED_OUT = rf"[ \t]*#[ \t]*{VARIABLE}[ \t]*="
KeysFile = Annotated[Path, typer.Argument(help="The file with the keys, which JWT_KEYS_FILE names.")]
DEFAULT_FILE = Path(".data/jwt-keys.json")
PUBLIC_FILE = Path(".data/jwt-public-keys.json")

commands = typer.Typer(no_args_is_help=True, help="The keys that sign access tokens.")


@commands.command()
def secret(
    replace: Annotated[bool, typer.Option("--replace", help="Replace the present one: its tokens end.")] = False,
) -> None:
    """Write a new JWT_SECRET_KEY into .env, which stays out of git."""
    file = Path(".env")
    text = file.read_text("utf-8") if file.exists() else ""
    if _is_set(text) and not replace:
        _refuse(f"{VARIABLE} is set in {file}. To replace it: app keys secret --replace")
    _write(file, _assign(text, new_secret_key()))
    typer.echo(f"{VARIABLE} written to {file}")


@commands.command()
def generate(file: KeysFile = DEFAULT_FILE) -> None:
    """Make a file with Ed25519 keys: one that signs, and the next one."""
    if file.exists():
        _refuse(f"{file} exists. To let its next key sign: app keys rotate {file}")
    _write(file, keys.dump_keys(keys.generate()))
    typer.echo(f"written: {file}\nSet JWT_KEYS_FILE={file} where the service runs, and keep the file secret.")


@commands.command()
def rotate(file: KeysFile = DEFAULT_FILE) -> None:
    """Let the next key sign, and make a new next one.

    Restart the service then. Nobody is signed out: the key before still verifies, and the one
    that signs now has been published since the rotation before. Wait an hour between two
    rotations, unless a key has been stolen: the second one removes it.
    """
    try:
        present = keys.read_keys(file)
    except ValueError as error:
        _refuse(str(error))
    _write(file, keys.dump_keys(keys.rotate(present)))
    typer.echo(f"written: {file}\nRestart the service to use it.")


@commands.command()
def public(
    file: KeysFile = DEFAULT_FILE,
    to: Annotated[Path, typer.Argument(help="The file that JWT_PUBLIC_KEYS_FILE names.")] = PUBLIC_FILE,
) -> None:
    """Write the public halves of the keys, for services that check tokens and sign none.

    Write them again after `rotate`, and restart the services, in any order: the key that signs
    now has been among the public ones since the rotation before.
    """
    try:
        present = keys.read_keys(file)
    except ValueError as error:
        _refuse(str(error))
    _write(to, keys.dump_public_keys(present))
    typer.echo(f"written: {to}\nSet JWT_PUBLIC_KEYS_FILE={to} where tokens are checked only.")


def _refuse(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(1)


def _is_set(text: str) -> bool:
    return re.search(rf"(?im)^{_SET}.*\S", text) is not None


def _assign(text: str, value: str) -> str:
    """Put the value where the variable stands, commented out or not, or at the end."""
    line = f"{VARIABLE}={value}"
    for present in (_SET, _COMMENTED_OUT):
        changed, found = re.subn(rf"(?im)^{present}.*$", line, text)
        if found:
            return changed
    return f"{text.rstrip()}\n{line}\n".lstrip()


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=".env.", delete=False) as new:
        new.write(text)
    Path(new.name).replace(file)
