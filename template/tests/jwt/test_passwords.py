"""Passwords: hashed off the event loop, compared without telling anything, judged by how hard they are to guess."""

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
from app.jwt.passwords import JUDGED_LENGTH, MAX_LENGTH, Password, Passwords, WeakPassword
from app.jwt.settings import JwtSettings

SETTINGS = JwtSettings(env=Environment.TEST)
CHEAP: dict[str, Any] = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
GOOD = "orbit-walnut-teapot-47"
WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in "password1234567")  # as East Asian keyboards write it


class CountingHasher(Argon2Hasher):
    """Argon2, cheap, and counted."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**{**CHEAP, **parameters})
        self.operations: list[str] = []
        self.sizes: set[int] = set()
        self.threads: set[int] = set()

    def hash(self, *arguments: Any, **options: Any) -> str:
        self._note("hash", arguments[0])
        return super().hash(*arguments, **options)

    def verify(self, *arguments: Any, **options: Any) -> bool:
        self._note("verify", arguments[0])
        return super().verify(*arguments, **options)

    def _note(self, operation: str, password: bytes) -> None:
        self.operations.append(operation)
        self.sizes.add(len(password))
        self.threads.add(threading.get_ident())


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def passwords(hasher: CountingHasher) -> Passwords:
    return Passwords(SETTINGS, PasswordHash((hasher,)))


async def test_the_hash_is_argon2id_as_recommended() -> None:
    passwords = Passwords(SETTINGS)
    stored = await passwords.hash(GOOD)

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify(GOOD, stored) == (True, None)


async def test_the_right_password_and_no_other_is_accepted(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD)

    assert await passwords.verify(GOOD, stored) == (True, None)
    for wrong in (GOOD.upper(), GOOD + " ", GOOD[:-1], "", GOOD + "\x00", stored):
        assert await passwords.verify(wrong, stored) == (False, None)
    assert stored != await passwords.hash(GOOD)


async def test_the_end_of_a_long_password_counts(passwords: Passwords) -> None:
    stored = await passwords.hash("é" * (MAX_LENGTH - 1) + "1")
    assert await passwords.verify("é" * (MAX_LENGTH - 1) + "2", stored) == (False, None)


async def test_a_password_is_the_same_however_it_is_composed(passwords: Passwords) -> None:
    text = "Zürich-Ångström-ﬁn-½"
    stored = await passwords.hash(unicodedata.normalize("NFC", text))

    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert (await passwords.verify(unicodedata.normalize(form, text), stored))[0]


async def test_text_that_is_no_unicode_is_a_password_like_any_other(passwords: Passwords) -> None:
    assert await passwords.verify("\ud800", await passwords.hash("\ud800")) == (True, None)


async def test_without_an_account_the_same_work_is_done(passwords: Passwords, hasher: CountingHasher) -> None:
    stored = await passwords.hash(GOOD)
    for there in (stored, None, "broken"):
        hasher.operations.clear()
        assert await passwords.verify("wrong", there) == (False, None)
        assert len(hasher.operations) == 1


async def test_an_oversized_password_is_wrong_and_costs_no_more(passwords: Passwords, hasher: CountingHasher) -> None:
    stored = await passwords.hash("x" * MAX_LENGTH)
    assert await passwords.verify("x" * MAX_LENGTH, stored) == (True, None)
    hasher.operations.clear()

    assert await passwords.verify("x" * 1_000_000, stored) == (False, None)
    assert await passwords.verify("x" * (MAX_LENGTH + 1), stored) == (False, None)
    assert hasher.operations == ["hash", "hash"]
    assert hasher.sizes == {MAX_LENGTH}


async def test_an_outdated_hash_is_replaced_when_the_password_is_right(passwords: Passwords) -> None:
    old = await Passwords(SETTINGS, PasswordHash((CountingHasher(memory_cost=16),))).hash(GOOD)

    right, new = await passwords.verify(GOOD, old)
    assert right
    assert new is not None
    assert "m=8," in new
    assert await passwords.verify(GOOD, new) == (True, None)
    assert await passwords.verify("wrong", old) == (False, None)


@pytest.mark.parametrize(
    "broken", ["", "hunter2", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$a"]
)
async def test_a_broken_hash_is_reported_and_not_repeated(passwords: Passwords, broken: str) -> None:
    with capture_logs() as lines:
        assert await passwords.verify(GOOD, broken) == (False, None)

    for line in lines:
        assert line == {"event": "a stored password hash cannot be read", "log_level": "error"}


async def test_hashing_leaves_the_event_loop_alone(passwords: Passwords, hasher: CountingHasher) -> None:
    await passwords.verify(GOOD, await passwords.hash(GOOD))

    assert hasher.threads
    assert threading.get_ident() not in hasher.threads


class SlowHasher(CountingHasher):
    """Waits until it is told to go on, and notes how many do."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Semaphore(0)
        self.go_on = threading.Event()

    def hash(self, *arguments: Any, **options: Any) -> str:
        self.inside.release()
        self.go_on.wait()
        return super().hash(*arguments, **options)


async def test_only_so_many_hash_at_a_time() -> None:
    hasher = SlowHasher()
    passwords = Passwords(SETTINGS, PasswordHash((hasher,)))
    hashing = [asyncio.create_task(passwords.hash(GOOD)) for _ in range(5)]
    for _ in range(SETTINGS.hashing_threads):
        await asyncio.to_thread(hasher.inside.acquire)
    waiting, more = passwords._hashing.statistics(), hasher.inside.acquire(blocking=False)
    hasher.go_on.set()

    assert (waiting.borrowed_tokens, waiting.tasks_waiting) == (2, 3)
    assert not more
    assert len(await asyncio.gather(*hashing)) == 5


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "correct horse battery staple",
        "xkqjzvbwpfmtyrg",
        "pferde fressen keinen gurkensalat",
        "лошадь скрепка батарея",
        "馬は正しい電池の主食ですよと言った",
        "0!5@|3!1%[#$2%#8/%0([0!#|4|@92+5" * 4,
        " " * 5 + "orbit walnut teapot",
    ],
)
async def test_a_good_password_passes_whatever_its_characters(passwords: Passwords, password: str) -> None:
    await passwords.check(password, "ada@example.com", "Ada Lovelace", "My Service")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("orbit-walnut-4", "Use 15 to 128 characters. A few words make a good password."),
        ("", "Use 15 to 128 characters"),
        ("x7" * 65, "Use 15 to 128 characters"),
        ("ﷺ" * 129, "Use 15 to 128 characters"),
        ("a" * 15, 'Repeats like "aaa" are easy to guess.'),
        ("a" * 128, 'Repeats like "aaa" are easy to guess.'),
        ("passwordpassword", "Avoid repeated words and characters."),
        ("password1234567", "This is similar to a commonly used password."),
        ("P@ssw0rdP@ssw0rd1", "Add another word or two"),
        ("qwertyuiopasdfghjkl", "This is similar to a commonly used password."),
        ("123456789012345", "This is similar to a commonly used password."),
        ("thisismypassword", "The password is easy to guess. Add another word or two. Uncommon words are better."),
        ("liverpoolfc2019!", "Add another word or two. Uncommon words are better."),
        (WIDE, "This is similar to a commonly used password."),
    ],
)
async def test_a_weak_password_is_refused_with_advice(passwords: Passwords, password: str, said: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        await passwords.check(password)
    assert isinstance(caught.value, InvalidError)
    assert said in str(caught.value)
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
async def test_what_others_know_makes_no_password(passwords: Passwords, password: str) -> None:
    known = ("ada.lovelace@example.com", "Ada Lovelace", "myservice")
    with pytest.raises(WeakPassword):
        await passwords.check(password, *known, "countess-of-analytical-engines-and-numbers@example.com")


async def test_the_shortest_length_is_a_setting(hasher: CountingHasher) -> None:
    passwords = Passwords(SETTINGS.model_copy(update={"password_min_length": 8}), PasswordHash((hasher,)))

    await passwords.check("xkqjzvbw9pf")
    with pytest.raises(WeakPassword, match="Use 8 to 128 characters"):
        await passwords.check("xkqjzvb")


async def test_judging_is_bounded_and_leaves_the_event_loop_alone(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, lengths, really_judge = set(), set(), module.judge

    def judge(text: str, words: list[str]) -> Any:
        threads.add(threading.get_ident())
        lengths.update(map(len, [text, *words]))
        return really_judge(text, words)

    monkeypatch.setattr(module, "judge", judge)
    await passwords.check("0!5@|3!1%[#$2%#8/%0([0!#|4|@92+5" * 4, "ada@" + "example-" * 30 + ".com")

    assert threading.get_ident() not in threads
    assert max(lengths) == JUDGED_LENGTH
    assert passwords._judging.total_tokens == 1


def test_the_lists_of_words_are_not_read_for_signing_in(imported: set[str]) -> None:
    assert "app.jwt.guessing" in imported
    assert "zxcvbn" not in imported


def test_a_password_in_a_request_is_bounded_and_not_shown() -> None:
    class Request(BaseModel):
        password: Password

    request = Request.model_validate_json('{"password": "hunter2"}')
    assert "hunter2" not in f"{request!r} {request} {request.model_dump_json()}"
    for wrong in ("", "x" * 129):
        with pytest.raises(ValidationError):
            Request.model_validate({"password": wrong})
    described = Request.model_json_schema()["properties"]["password"]
    assert (described["format"], described["writeOnly"], described["maxLength"]) == ("password", True, 128)
