"""Password hashing and the validation of new passwords."""

import asyncio
import threading
import unicodedata
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import BaseModel, ValidationError
from structlog.testing import capture_logs

from app.core.config import Environment
from app.core.exceptions import InvalidError
from app.jwt import passwords as module
from app.jwt.passwords import MAX_LENGTH, SCORED_LENGTH, Password, Passwords, WeakPassword
from app.jwt.settings import JwtSettings

SETTINGS = JwtSettings(env=Environment.TEST)
FAST_PARAMETERS: dict[str, Any] = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
STRONG_PASSWORD = "orbit-walnut-teapot-47"
FULLWIDTH_PASSWORD = "".join(
    chr(ord(letter) + 0xFEE0) for letter in "password1234567"
)  # fullwidth characters, as typed with East Asian keyboards


class CountingHasher(Argon2Hasher):
    """A fast Argon2 hasher that records its calls."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**{**FAST_PARAMETERS, **parameters})
        self.operations: list[str] = []
        self.sizes: set[int] = set()
        self.threads: set[int] = set()

    def hash(self, *arguments: Any, **options: Any) -> str:
        self._record("hash", arguments[0])
        return super().hash(*arguments, **options)

    def verify(self, *arguments: Any, **options: Any) -> bool:
        self._record("verify", arguments[0])
        return super().verify(*arguments, **options)

    def _record(self, operation: str, password: bytes) -> None:
        self.operations.append(operation)
        self.sizes.add(len(password))
        self.threads.add(threading.get_ident())


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def passwords(hasher: CountingHasher) -> Passwords:
    return Passwords(SETTINGS, PasswordHash((hasher,)))


async def test_hash_is_argon2id_with_recommended_parameters() -> None:
    passwords = Passwords(SETTINGS)
    stored = await passwords.hash(STRONG_PASSWORD)

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify(STRONG_PASSWORD, stored) == (True, None)


async def test_only_the_right_password_is_accepted(passwords: Passwords) -> None:
    stored = await passwords.hash(STRONG_PASSWORD)

    assert await passwords.verify(STRONG_PASSWORD, stored) == (True, None)
    for wrong in (
        STRONG_PASSWORD.upper(),
        STRONG_PASSWORD + " ",
        STRONG_PASSWORD[:-1],
        "",
        STRONG_PASSWORD + "\x00",
        stored,
    ):
        assert await passwords.verify(wrong, stored) == (False, None)
    assert stored != await passwords.hash(STRONG_PASSWORD)


async def test_long_passwords_are_not_truncated(passwords: Passwords) -> None:
    stored = await passwords.hash("é" * (MAX_LENGTH - 1) + "1")
    assert await passwords.verify("é" * (MAX_LENGTH - 1) + "2", stored) == (False, None)


async def test_passwords_are_unicode_normalized(passwords: Passwords) -> None:
    text = "Zürich-Ångström-ﬁn-½"
    stored = await passwords.hash(unicodedata.normalize("NFC", text))

    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert (await passwords.verify(unicodedata.normalize(form, text), stored))[0]


async def test_lone_surrogates_are_accepted(passwords: Passwords) -> None:
    assert await passwords.verify("\ud800", await passwords.hash("\ud800")) == (True, None)


async def test_same_work_is_done_without_a_stored_hash(passwords: Passwords, hasher: CountingHasher) -> None:
    stored = await passwords.hash(STRONG_PASSWORD)
    for there in (stored, None, "broken"):
        hasher.operations.clear()
        assert await passwords.verify("wrong", there) == (False, None)
        assert len(hasher.operations) == 1


async def test_oversized_password_fails_after_the_same_work(passwords: Passwords, hasher: CountingHasher) -> None:
    stored = await passwords.hash("x" * MAX_LENGTH)
    assert await passwords.verify("x" * MAX_LENGTH, stored) == (True, None)
    hasher.operations.clear()

    assert await passwords.verify("x" * 1_000_000, stored) == (False, None)
    assert await passwords.verify("x" * (MAX_LENGTH + 1), stored) == (False, None)
    assert hasher.operations == ["hash", "hash"]
    assert hasher.sizes == {MAX_LENGTH}


async def test_outdated_hash_is_replaced_if_the_password_is_right(passwords: Passwords) -> None:
    old = await Passwords(SETTINGS, PasswordHash((CountingHasher(memory_cost=16),))).hash(STRONG_PASSWORD)

    right, new = await passwords.verify(STRONG_PASSWORD, old)
    assert right
    assert new is not None
    assert "m=8," in new
    assert await passwords.verify(STRONG_PASSWORD, new) == (True, None)
    assert await passwords.verify("wrong", old) == (False, None)


@pytest.mark.parametrize(
    "broken", ["", "hunter2", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$a"]
)
async def test_unreadable_hash_is_logged_without_its_value(passwords: Passwords, broken: str) -> None:
    with capture_logs() as lines:
        assert await passwords.verify(STRONG_PASSWORD, broken) == (False, None)

    for line in lines:
        assert line == {"event": "unreadable password hash", "log_level": "error"}


async def test_hashing_runs_in_a_thread(passwords: Passwords, hasher: CountingHasher) -> None:
    await passwords.verify(STRONG_PASSWORD, await passwords.hash(STRONG_PASSWORD))

    assert hasher.threads
    assert threading.get_ident() not in hasher.threads


class BlockingHasher(CountingHasher):
    """A hasher that waits until it is released, and counts the waiting threads."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Semaphore(0)
        self.proceed = threading.Event()

    def hash(self, *arguments: Any, **options: Any) -> str:
        self.started.release()
        self.proceed.wait()
        return super().hash(*arguments, **options)


async def test_concurrent_hashing_is_limited() -> None:
    hasher = BlockingHasher()
    passwords = Passwords(SETTINGS, PasswordHash((hasher,)))
    hashing = [asyncio.create_task(passwords.hash(STRONG_PASSWORD)) for _ in range(5)]
    for _ in range(SETTINGS.hashing_threads):
        await asyncio.to_thread(hasher.started.acquire)
    waiting, more = passwords._hashing.statistics(), hasher.started.acquire(blocking=False)
    hasher.proceed.set()

    assert (waiting.borrowed_tokens, waiting.tasks_waiting) == (2, 3)
    assert not more
    assert len(await asyncio.gather(*hashing)) == 5


@pytest.mark.parametrize(
    "password",
    [
        STRONG_PASSWORD,
        "correct horse battery staple",
        "xkqjzvbwpfmtyrg",
        "pferde fressen keinen gurkensalat",
        "лошадь скрепка батарея",
        "馬は正しい電池の主食ですよと言った",
        "0!5@|3!1%[#$2%#8/%0([0!#|4|@92+5" * 4,
        " " * 5 + "orbit walnut teapot",
    ],
)
async def test_strong_password_is_accepted_with_any_characters(passwords: Passwords, password: str) -> None:
    await passwords.validate_new_password(password, "ada@example.com", "Ada Lovelace", "My Service")


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("orbit-walnut-4", "Password must have 15 to 128 characters. A few words make a good one."),
        ("", "Password must have 15 to 128 characters"),
        ("x7" * 65, "Password must have 15 to 128 characters"),
        ("ﷺ" * 129, "Password must have 15 to 128 characters"),
        ("a" * 15, 'Repeats like "aaa" are easy to guess.'),
        ("a" * 128, 'Repeats like "aaa" are easy to guess.'),
        ("passwordpassword", "Avoid repeated words and characters."),
        ("password1234567", "This is similar to a commonly used password."),
        ("P@ssw0rdP@ssw0rd1", "Add another word or two"),
        ("qwertyuiopasdfghjkl", "This is similar to a commonly used password."),
        ("123456789012345", "This is similar to a commonly used password."),
        ("thisismypassword", "The password is easy to guess. Add another word or two. Uncommon words are better."),
        ("liverpoolfc2019!", "Add another word or two. Uncommon words are better."),
        (FULLWIDTH_PASSWORD, "This is similar to a commonly used password."),
    ],
)
async def test_weak_password_is_rejected_with_advice(passwords: Passwords, password: str, expected: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        await passwords.validate_new_password(password)
    assert isinstance(caught.value, InvalidError)
    assert expected in str(caught.value)
    assert len(password) < 3 or password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        "ada.lovelace@example.com",
        "Ada Lovelace 1815",
        "adalovelaceadalovelace",
        "lovelace-ada-myservice",
        "ecalevol.ada@example",
        "countess-of-analytical-engines-and-numbers@example.com",
    ],
)
async def test_password_from_known_user_data_is_rejected(passwords: Passwords, password: str) -> None:
    known = ("ada.lovelace@example.com", "Ada Lovelace", "myservice")
    with pytest.raises(WeakPassword):
        await passwords.validate_new_password(
            password, *known, "countess-of-analytical-engines-and-numbers@example.com"
        )


async def test_minimum_length_is_configurable(hasher: CountingHasher) -> None:
    passwords = Passwords(SETTINGS.model_copy(update={"password_min_length": 8}), PasswordHash((hasher,)))

    await passwords.validate_new_password("xkqjzvbw9pf")
    with pytest.raises(WeakPassword, match="Password must have 8 to 128 characters"):
        await passwords.validate_new_password("xkqjzvb")


async def test_scoring_is_bounded_and_runs_in_a_thread(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, lengths, estimate = set(), set(), module.estimate_strength

    def recording_estimate(text: str, words: list[str]) -> Any:
        threads.add(threading.get_ident())
        lengths.update(map(len, [text, *words]))
        return estimate(text, words)

    monkeypatch.setattr(module, "estimate_strength", recording_estimate)
    await passwords.validate_new_password("0!5@|3!1%[#$2%#8/%0([0!#|4|@92+5" * 4, "ada@" + "example-" * 30 + ".com")

    assert threading.get_ident() not in threads
    assert max(lengths) == SCORED_LENGTH
    assert passwords._estimating.total_tokens == 1


def test_word_lists_are_not_loaded_at_import(imported_modules: set[str]) -> None:
    assert "app.jwt.passwords" in imported_modules
    assert "zxcvbn" not in imported_modules


def test_password_field_is_bounded_and_hidden() -> None:
    class Request(BaseModel):
        password: Password

    request = Request.model_validate_json('{"password": "hunter2"}')
    assert "hunter2" not in f"{request!r} {request} {request.model_dump_json()}"
    for wrong in ("", "x" * 129):
        with pytest.raises(ValidationError):
            Request.model_validate({"password": wrong})
    described = Request.model_json_schema()["properties"]["password"]
    assert (described["format"], described["writeOnly"], described["maxLength"]) == ("password", True, 128)
