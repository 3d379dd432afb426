"""Accounts with a password: registration, reset, changes, and deletion."""

import re
from asyncio import Event, create_task, gather, wait
from datetime import timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient, Response
from sqlmodel import delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core import openapi
from app.core.preconditions import Precondition
from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.mail import Email
from app.modules.auth.models import LoginSession
from app.modules.auth.service import AuthService
from app.modules.password.models import MailedToken, PasswordHash, Registration
from app.modules.user.models import User
from app.modules.user.schemas import UserCreate, UserUpdate
from app.modules.user.service import UserService
from app.security.secrets import digest
from tests.users import app_of, new_client

AUTH = "/api/v1/auth"
TITLE = openapi.api_metadata()["title"]
EMAIL, PASSWORD, NEW_PASSWORD = "ada@example.com", "orbit-walnut-teapot-47", "quarry-lantern-biscuit-12"
SENSITIVE_CHANGES = pytest.mark.parametrize(
    ("path", "more"),
    [
        ("change-password", {"new_password": NEW_PASSWORD}),
        ("change-email", {"new_email": "new@example.com"}),
        ("delete-account", {}),
    ],
)


async def register(client: AsyncClient, **fields: object) -> Response:
    return await client.post(f"{AUTH}/register", json={"email": EMAIL, "name": "Ada"} | fields)


def token_in(email: Email) -> str:
    """The token after the # of the link."""
    [token] = re.findall(r"^http://127\.0\.0\.1:8000/[a-z-]+#token=(\S+)$", email.text, re.MULTILINE)
    return token


async def verify(client: AsyncClient, email: Email, password: str = PASSWORD) -> Response:
    return await client.post(f"{AUTH}/verify-email", json={"token": token_in(email), "password": password})


async def log_in(client: AsyncClient, password: str = PASSWORD, email: str = EMAIL) -> Response:
    return await client.post(f"{AUTH}/token", data={"username": email, "password": password})


async def create_account_and_sign_in(client: AsyncClient, emails: list[Email]) -> None:
    """Create an account and sign in with it."""
    await register(client)
    await verify(client, emails.pop())
    await sign_in(client)


async def sign_in(client: AsyncClient) -> None:
    client.headers["Authorization"] = f"Bearer {(await log_in(client)).json()['access_token']}"


async def request_password_reset(client: AsyncClient, email: str = EMAIL) -> Response:
    return await client.post(f"{AUTH}/forgot-password", json={"email": email})


async def reset(client: AsyncClient, email: Email, password: str = NEW_PASSWORD) -> Response:
    return await client.post(f"{AUTH}/reset-password", json={"token": token_in(email), "new_password": password})


async def test_account_is_created_with_the_emailed_link(client: AsyncClient, sent_emails: list[Email]) -> None:
    asked = await register(client, email="Ada@Example.com")
    [email] = sent_emails
    assert (asked.status_code, email.to, email.subject) == (202, EMAIL, f"{TITLE}: Confirm your email address")
    assert (await log_in(client)).status_code == 401

    opened = await verify(client, email)
    assert (opened.status_code, opened.json()["email"], opened.json()["name"]) == (201, EMAIL, "Ada")
    assert (await log_in(client)).status_code == 200

    again = await verify(client, email)
    assert (again.status_code, again.json()["code"]) == (422, "invalid_mail_token")


async def test_registration_response_does_not_reveal_existing_account(
    client: AsyncClient, sent_emails: list[Email]
) -> None:
    first = await register(client)
    await verify(client, sent_emails.pop())
    second = await register(client)

    assert (first.status_code, first.content) == (second.status_code, second.content)
    [email] = sent_emails
    assert (email.to, email.subject) == (EMAIL, f"{TITLE}: You already have an account")
    assert "#token" not in email.text
    assert (await log_in(client, NEW_PASSWORD)).status_code == 401


@pytest.mark.parametrize("followed", [0, 1])
async def test_unverified_registration_cannot_take_over_address(
    client: AsyncClient, sent_emails: list[Email], followed: int
) -> None:
    for name in ("Mallory", "Ada"):
        await register(client, name=name)

    # Whichever link Ada follows, she chooses the password, because only she can read the email.
    assert (await verify(client, sent_emails[followed])).status_code == 201
    late = await verify(client, sent_emails[1 - followed], NEW_PASSWORD)
    assert (late.status_code, late.json()["code"]) == (409, "email_taken")
    assert (await log_in(client, NEW_PASSWORD)).status_code == 401
    assert (await log_in(client)).status_code == 200


async def test_verification_link_expires(client: AsyncClient, session: AsyncSession, sent_emails: list[Email]) -> None:
    await register(client)
    await session.exec(update(Registration).values(expires_at=utc_now() - timedelta(seconds=1)))
    await session.commit()

    assert (await verify(client, sent_emails[0])).status_code == 422


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": "ada"}, "body.email"),
        ({"email": "ada@example.com\r\nBcc: eve@example.com"}, "body.email"),
        ({"name": "Ada\r\nBcc: eve@example.com"}, "body.name"),
        ({"password": PASSWORD}, "body.password"),
        ({"role": "admin"}, "body.role"),
        ({"roles": ["admin"]}, "body.roles"),
        ({"scopes": ["admin"]}, "body.scopes"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, "body.id"),
    ],
)
async def test_invalid_registration_names_the_field(
    client: AsyncClient, sent_emails: list[Email], fields: dict[str, object], field: str
) -> None:
    response = await register(client, **fields)

    assert response.status_code == 422
    assert {error["field"] for error in response.json()["errors"]} == {field}
    assert str(fields.get("password")) not in response.text
    assert sent_emails == []


@pytest.mark.parametrize("password", ["short", "passwordpassword", "ada@example.com", "111111111111111111"])
async def test_weak_password_is_rejected(client: AsyncClient, sent_emails: list[Email], password: str) -> None:
    await register(client)
    response = await verify(client, sent_emails[0], password)

    assert (response.status_code, response.json()["code"]) == (422, "weak_password")
    assert (await verify(client, sent_emails[0])).status_code == 201


async def test_oversized_password_is_rejected_and_not_repeated(client: AsyncClient, sent_emails: list[Email]) -> None:
    await register(client)
    response = await verify(client, sent_emails[0], "x" * 129)

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "body.password")
    assert "xxx" not in response.text


async def test_unusable_address_is_rejected(client: AsyncClient, sent_emails: list[Email]) -> None:
    response = await register(client, email="ädä@example.com")

    assert (response.status_code, response.json()["code"]) == (422, "unusable_address")
    assert sent_emails == []


async def test_password_is_reset_with_the_emailed_link(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await request_password_reset(client)
    link = sent_emails.pop()
    assert (link.to, link.subject) == (EMAIL, f"{TITLE}: Choose a new password")

    assert (await reset(client, link)).status_code == 204
    assert [email.subject for email in sent_emails] == [f"{TITLE}: Your password was changed"]
    assert (await log_in(client)).status_code == 401
    assert (await log_in(client, NEW_PASSWORD)).status_code == 200
    assert (await client.get(f"{AUTH}/sessions")).json()[1:] == []

    again = await reset(client, link, PASSWORD)
    assert (again.status_code, again.json()["code"]) == (422, "invalid_mail_token")


async def test_password_reset_response_does_not_reveal_existing_account(
    client: AsyncClient, sent_emails: list[Email]
) -> None:
    await create_account_and_sign_in(client, sent_emails)
    known, unknown = await request_password_reset(client), await request_password_reset(client, "bob@example.com")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert [email.to for email in sent_emails] == [EMAIL]


async def test_account_without_password_can_set_one(
    client: AsyncClient, session: AsyncSession, sent_emails: list[Email]
) -> None:
    await UserService(session).register(UserCreate(email=EMAIL, name="Ada"))
    await session.commit()

    await request_password_reset(client)
    await reset(client, sent_emails[0], PASSWORD)
    assert (await log_in(client)).status_code == 200


async def test_link_remains_valid_after_weak_password(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await request_password_reset(client)
    link = sent_emails.pop()

    assert (await reset(client, link, "password")).json()["code"] == "weak_password"
    assert (await reset(client, link)).status_code == 204


async def test_used_link_revokes_other_links(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    for _ in range(2):
        await request_password_reset(client)
    first, second = sent_emails

    assert (await reset(client, second)).status_code == 204
    assert (await reset(client, first)).status_code == 422


async def test_link_is_valid_for_one_purpose(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await request_password_reset(client)

    assert (await verify(client, sent_emails[0])).json()["code"] == "invalid_mail_token"
    confirmed = await client.post(f"{AUTH}/confirm-email", json={"token": token_in(sent_emails[0])})
    assert confirmed.json()["code"] == "invalid_mail_token"
    assert (await reset(client, sent_emails[0])).status_code == 204


async def test_reset_link_expires(client: AsyncClient, session: AsyncSession, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await request_password_reset(client)
    await session.exec(update(MailedToken).values(expires_at=utc_now() - timedelta(seconds=1)))
    await session.commit()

    assert (await reset(client, sent_emails[0])).status_code == 422


async def test_email_change_by_admin_revokes_links_and_sessions(
    client: AsyncClient, session: AsyncSession, sent_emails: list[Email]
) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await request_password_reset(client)
    users = UserService(session)
    user = await users.find(EMAIL)
    assert user is not None
    await users.update(user.id, UserUpdate(email="new@example.com"), Precondition(None))
    await session.commit()

    assert (await reset(client, sent_emails[0])).status_code == 422
    assert (sent_emails[1].to, sent_emails[1].subject) == (EMAIL, f"{TITLE}: Your email address was changed")
    assert (await client.get(f"{AUTH}/sessions")).json() == []


async def test_account_deletion_revokes_reset_link(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await request_password_reset(client)
    await client.post(f"{AUTH}/delete-account", json={"current_password": PASSWORD})

    assert (await reset(client, sent_emails[0])).status_code == 422


async def test_tokens_are_stored_as_digests(
    client: AsyncClient, session: AsyncSession, sent_emails: list[Email]
) -> None:
    await register(client)
    registration = (await session.exec(select(Registration))).one()
    assert registration.digest == digest(token_in(sent_emails[0])) != token_in(sent_emails[0])

    await verify(client, sent_emails.pop())
    await request_password_reset(client)
    assert (await session.exec(select(MailedToken.digest))).one() != token_in(sent_emails[0])
    assert (await session.exec(select(PasswordHash.hash))).one().startswith("$argon2id$")


async def test_password_change_revokes_other_sessions(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    other_refresh_token = (await log_in(client)).json()["refresh_token"]
    response = await client.post(
        f"{AUTH}/change-password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    )

    assert response.status_code == 204
    assert [email.subject for email in sent_emails] == [f"{TITLE}: Your password was changed"]
    assert (await client.post(f"{AUTH}/refresh", json={"refresh_token": other_refresh_token})).status_code == 401
    [here] = (await client.get(f"{AUTH}/sessions")).json()
    assert here["current"]
    assert (await log_in(client, NEW_PASSWORD)).status_code == 200


@SENSITIVE_CHANGES
async def test_sensitive_changes_require_the_password(
    client: AsyncClient, sent_emails: list[Email], path: str, more: dict[str, str]
) -> None:
    await create_account_and_sign_in(client, sent_emails)
    with capture_logs() as logs:
        wrong = [await client.post(f"{AUTH}/{path}", json={"current_password": NEW_PASSWORD} | more) for _ in range(11)]

    assert [response.status_code for response in wrong] == [403] * 10 + [429]
    assert wrong[0].json()["code"] == "wrong_password"
    assert {line["event"] for line in logs if line.get("audit")} == {"confirm_password"}
    assert sent_emails == []


async def test_email_change_requires_the_emailed_link(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    body = {"current_password": PASSWORD, "new_email": "Countess@example.com"}
    asked = await client.post(f"{AUTH}/change-email", json=body)
    [email] = sent_emails

    assert (asked.status_code, email.to) == (202, "countess@example.com")
    assert (await client.get(f"{AUTH}/me")).json()["email"] == EMAIL
    assert (await client.post(f"{AUTH}/confirm-email", json={"token": token_in(email)})).status_code == 204
    assert (await client.get(f"{AUTH}/me")).json()["email"] == "countess@example.com"
    assert (await client.get(f"{AUTH}/sessions")).json() == []
    assert (sent_emails[1].to, sent_emails[1].subject) == (EMAIL, f"{TITLE}: Your email address was changed")
    assert (await log_in(client, email="countess@example.com")).status_code == 200


async def test_password_reset_revokes_pending_email_change(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await client.post(f"{AUTH}/change-email", json={"current_password": PASSWORD, "new_email": "evil@example.com"})
    evil = sent_emails.pop()
    await request_password_reset(client)
    await reset(client, sent_emails.pop())

    assert (await client.post(f"{AUTH}/confirm-email", json={"token": token_in(evil)})).status_code == 422
    assert (await log_in(client, NEW_PASSWORD)).status_code == 200


async def test_email_change_fails_if_address_was_taken(
    client: AsyncClient, session: AsyncSession, sent_emails: list[Email]
) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await client.post(f"{AUTH}/change-email", json={"current_password": PASSWORD, "new_email": "new@example.com"})
    await UserService(session).register(UserCreate(email="new@example.com", name="Faster"))
    await session.commit()

    late = await client.post(f"{AUTH}/confirm-email", json={"token": token_in(sent_emails[0])})
    assert (late.status_code, late.json()["code"]) == (409, "email_taken")


async def test_account_is_deleted_with_the_password(
    client: AsyncClient, session: AsyncSession, sent_emails: list[Email]
) -> None:
    await create_account_and_sign_in(client, sent_emails)
    response = await client.post(f"{AUTH}/delete-account", json={"current_password": PASSWORD})

    assert response.status_code == 204
    assert (await session.exec(select(User))).all() == []
    assert (await log_in(client)).status_code == 401


@SENSITIVE_CHANGES
async def test_sensitive_changes_of_deleted_users_are_unauthenticated(
    client: AsyncClient, session: AsyncSession, sent_emails: list[Email], path: str, more: dict[str, str]
) -> None:
    await create_account_and_sign_in(client, sent_emails)
    await session.exec(delete(User))
    await session.commit()

    for method, url, body in (("GET", "me", None), ("POST", path, {"current_password": PASSWORD} | more)):
        rejected = await client.request(method, f"{AUTH}/{url}", json=body)
        assert (rejected.status_code, rejected.json()["code"]) == (401, "user_gone")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("register", {"email": EMAIL, "name": "Ada"}),
        ("forgot-password", {"email": EMAIL}),
    ],
)
async def test_emails_to_one_address_are_limited(
    client: AsyncClient, sent_emails: list[Email], path: str, body: dict[str, str]
) -> None:
    responses = [(await client.post(f"{AUTH}/{path}", json=body)).status_code for _ in range(11)]

    assert responses == [202] * 10 + [429]


@pytest.mark.parametrize("path", ["verify-email", "confirm-email", "reset-password"])
async def test_token_guessing_is_rate_limited(client: AsyncClient, path: str) -> None:
    passwords = {"verify-email": {"password": NEW_PASSWORD}, "reset-password": {"new_password": NEW_PASSWORD}}
    body = {"token": "x" * 43} | passwords.get(path, {})
    responses = [(await client.post(f"{AUTH}/{path}", json=body)).status_code for _ in range(51)]

    assert responses == [422] * 50 + [429]


async def test_secrets_are_not_logged_or_shown(client: AsyncClient, sent_emails: list[Email]) -> None:
    with capture_logs() as logs:
        await create_account_and_sign_in(client, sent_emails)
        await request_password_reset(client)
        link = sent_emails[-1]
        await reset(client, link)
        await client.post(f"{AUTH}/change-password", json={"current_password": NEW_PASSWORD, "new_password": PASSWORD})

    for secret in (PASSWORD, NEW_PASSWORD, token_in(link), EMAIL):
        assert secret not in str(logs)
    assert token_in(link) not in repr(link)
    trail = [line["event"] for line in logs if line.get("audit") and line["outcome"] == "success"]
    assert trail == [
        *("registration_requested", "email_verified", "login", "password_reset_requested"),
        *("logout_all", "password_changed") * 2,
    ]


async def test_sensitive_changes_require_authentication(client: AsyncClient, sent_emails: list[Email]) -> None:
    await create_account_and_sign_in(client, sent_emails)
    other_client = new_client(client)

    for path in ("change-password", "change-email", "delete-account"):
        assert (await other_client.post(f"{AUTH}/{path}", json={"current_password": PASSWORD})).status_code == 401


async def test_concurrent_verifications_create_one_account(
    committing_client: AsyncClient, sent_emails: list[Email]
) -> None:
    await register(committing_client)
    [email] = sent_emails
    responses = await gather(*(verify(committing_client, email) for _ in range(5)))

    assert sorted(response.status_code for response in responses) == [201, 422, 422, 422, 422]


async def test_concurrent_password_resets_succeed_once(
    committing_client: AsyncClient, sent_emails: list[Email]
) -> None:
    async with transaction(runtime_of(app_of(committing_client))[Database].write) as session:
        await UserService(session).register(UserCreate(email=EMAIL, name="Ada"))
    await request_password_reset(committing_client)
    [email] = sent_emails
    responses = await gather(*(reset(committing_client, email) for _ in range(5)))

    assert sorted(response.status_code for response in responses) == [204, 422, 422, 422, 422]


async def test_login_during_password_reset_starts_no_session(
    committing_client: AsyncClient, sent_emails: list[Email], monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(committing_client)
    await verify(committing_client, sent_emails.pop())
    await request_password_reset(committing_client)
    start, password_verified, proceed = AuthService.start_session, Event(), Event()

    async def start_later(self: AuthService, *arguments: Any) -> LoginSession:
        password_verified.set()
        await proceed.wait()
        return await start(self, *arguments)

    monkeypatch.setattr(AuthService, "start_session", start_later)
    logging_in = create_task(log_in(committing_client))
    await password_verified.wait()  # The old password was correct; the session has not started yet.
    resetting = create_task(reset(committing_client, sent_emails.pop()))
    await wait([resetting], timeout=0.5)
    proceed.set()

    assert [(await response).status_code for response in (logging_in, resetting)] == [200, 204]
    async with transaction(runtime_of(app_of(committing_client))[Database].write) as session:
        assert (await session.exec(select(LoginSession))).all() == []
