"""Signing in to a project, in each way that a project can have."""

import base64
import json
import re
import ssl
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import trustme

from tests.mailbox import PATIENCE_SECONDS, TOKEN, Mailbox, mailbox
from tests.matrix.processes import environment, run
from tests.matrix.service import START_SECONDS, Answer, Service, ask, free_port, kill, wait_until
from tests.rendering import recorded_answers

AUTH = "/api/v1/auth"
APP_URL = "https://app.example.com"
ADMINISTRATOR = "root@example.com"
PASSWORD = "four teapots sang quietly"  # noqa: S105 - of nobody

COMMAND_SECONDS = 120

Headers = Mapping[str, str]
Settings = dict[str, str]


@dataclass
class SignIn(ABC):
    """One way, prepared for one project."""

    project: Path
    settings: Settings = field(default_factory=dict)  # what production must be given for it
    secrets: list[str] = field(default_factory=list)  # what no log may show

    refused: ClassVar[tuple[tuple[str, str | None], ...]] = ()
    """Values with which production must not start; None: the variable is not set."""

    @abstractmethod
    def appoint(self, settings: Settings) -> str:
        """Make an administrator, and return what was said."""

    @abstractmethod
    def check_strangers(self, service: Service) -> None:
        """See what happens to somebody who has not signed in."""

    @abstractmethod
    def open(self, service: Service, email: str) -> Headers:
        """Open an account as somebody who comes for the first time; return what their requests carry."""

    @abstractmethod
    def enter(self, service: Service, email: str) -> Headers:
        """Sign in; return what requests carry from then on."""

    def app(self, *arguments: str, typed: str = "", settings: Settings | None = None) -> str:
        """Run the project's own command."""
        command = (str(self.project / ".venv/bin/app"), *arguments)
        return run(self.project, *command, timeout=COMMAND_SECONDS, typed=typed, **(settings or {}))


class _Nobody(SignIn):
    """Whoever reaches the service may do everything."""

    def appoint(self, settings: Settings) -> str:  # noqa: ARG002 - the others need it
        return ""

    def check_strangers(self, service: Service) -> None:
        pass

    def open(self, service: Service, email: str) -> Headers:  # noqa: ARG002
        return {}

    def enter(self, service: Service, email: str) -> Headers:  # noqa: ARG002
        return {}


class _Guarded(SignIn):
    """Somebody has to sign in."""

    def appoint(self, settings: Settings) -> str:
        said = self.app("users", "create-admin", ADMINISTRATOR, typed=f"{PASSWORD}\n", settings=settings)
        assert f"{ADMINISTRATOR} is an administrator" in said, said
        return said

    def check_strangers(self, service: Service) -> None:
        for method, path in (("GET", "/users"), ("POST", "/users"), ("GET", "/auth/me"), ("GET", "/auth/sessions")):
            for headers in ({}, {"Authorization": "Bearer nonsense"}):
                answer = service.request(method, f"/api/v1{path}", headers=headers)
                assert answer.status == 401, (path, answer)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer"), path


@dataclass
class _ByPassword(_Guarded):
    mails: Mailbox = field(kw_only=True)
    refused: ClassVar = (
        ("JWT_SECRET_KEY", None),
        ("JWT_SECRET_KEY", "please-change-me-before-you-deploy-this"),
        ("AUTH_APP_URL", "http://app.example.com"),
        ("SMTP_HOST", None),
    )

    def __post_init__(self) -> None:
        self.secrets.append(PASSWORD)
        self.settings |= {"AUTH_APP_URL": APP_URL, **self._signing(), **self.mails.settings()}

    def _signing(self) -> Settings:
        """Make what signs by the project's own commands: keys or a secret, both are executed by some variant."""
        answers = recorded_answers(self.project)
        if "postgres" in answers.values() or "services" in answers.values():
            file = self.project / ".data/jwt-keys.json"
            self.app("keys", "generate", str(file))
            self.secrets += re.findall(r'"d": *"([^"]+)"', file.read_text(encoding="utf-8"))
            return {"JWT_KEYS_FILE": str(file)}
        self.app("keys", "secret")
        file = self.project / ".env"
        secret = re.findall(r"^JWT_SECRET_KEY=(\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        file.unlink()
        self.secrets += secret
        return {"JWT_SECRET_KEY": secret[0]}

    def check_strangers(self, service: Service) -> None:
        super().check_strangers(service)
        assert self._token(service, ADMINISTRATOR, "three teapots sang quietly").status == 401

    def open(self, service: Service, email: str) -> Headers:
        asked = service.request("POST", f"{AUTH}/register", {"email": email, "name": "Grace Hopper"})
        assert asked.status == 202, asked
        proof = {"token": self._mailed(email), "password": PASSWORD}
        opened = service.request("POST", f"{AUTH}/verify-email", proof)
        assert opened.status == 201, opened
        return self.enter(service, email)

    def enter(self, service: Service, email: str) -> Headers:
        answer = self._token(service, email, PASSWORD)
        assert answer.status == 200, answer
        tokens = answer.json()
        self.secrets += [tokens["access_token"], tokens["refresh_token"]]
        return {"Authorization": f"Bearer {tokens['access_token']}"}

    def reset(self, service: Service, email: str) -> None:
        """Choose a password by the link in a mail."""
        assert service.request("POST", f"{AUTH}/forgot-password", {"email": email}).status == 202
        chosen = {"token": self._mailed(email), "new_password": PASSWORD}
        answer = service.request("POST", f"{AUTH}/reset-password", chosen)
        assert answer.status == 204, answer

    def _mailed(self, email: str) -> str:
        self.secrets.append(self.mails.token(email))
        return self.secrets[-1]

    def _token(self, service: Service, email: str, password: str) -> Answer:
        return service.request("POST", f"{AUTH}/token", urlencode({"username": email, "password": password}))


# The provider of the project's own tests, where production accepts it: behind TLS.
PROVIDER = """
import sys
import uvicorn
from tests.identity_provider import IdentityProvider
port, certificate, secret, redirect_uri = sys.argv[1:]
provider = IdentityProvider(issuer=f"https://127.0.0.1:{port}", client_secret=secret, redirect_uris=(redirect_uri,))
uvicorn.run(provider.app(), port=int(port), ssl_keyfile=certificate, ssl_certfile=certificate, log_level="warning")
"""
CLIENT_SECRET = "only-between-us-and-acme"  # noqa: S105 - of nobody
AUDIENCE = "https://api.example.com"


@dataclass
class _ByProvider(_Guarded):
    stack: ExitStack = field(kw_only=True)
    folder: Path = field(kw_only=True)  # for certificates
    port: int = field(default_factory=free_port)
    refused: ClassVar = (
        ("OIDC_PROVIDERS", None),
        ("OIDC_PROVIDERS", '[{"name": "acme", "issuer": "http://a.example", "client_id": "a", "client_secret": "b"}]'),
        ("AUTH_APP_URL", None),
    )

    def __post_init__(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "authority.pem"))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self.folder / "server.pem"))
        acme = {
            "name": "acme",
            "issuer": f"https://127.0.0.1:{self.port}",
            "client_id": "app",
            "client_secret": CLIENT_SECRET,
            "audience": AUDIENCE,
        }
        self.secrets.append(CLIENT_SECRET)
        self.settings |= {"AUTH_APP_URL": APP_URL, "OIDC_PROVIDERS": json.dumps([acme])}
        self.settings |= {"SSL_CERT_FILE": str(self.folder / "authority.pem")}

    def check_strangers(self, service: Service) -> None:
        super().check_strangers(service)
        assert [known["name"] for known in service.request("GET", f"{AUTH}/providers").json()] == ["acme"]
        self._check_absence(service)

    def _check_absence(self, service: Service) -> None:
        """See what happens while the provider is away."""
        answer = service.request("GET", f"{AUTH}/login/acme")
        assert (answer.status, answer.headers["Location"]) == (302, f"{APP_URL}/?error=provider_unavailable"), answer
        answer = service.request("GET", f"{AUTH}/me", headers={"Authorization": f"Bearer {self._unsigned_token()}"})
        assert (answer.status, answer.json()["code"]) == (503, "provider_unavailable"), answer
        assert service.status("/health/ready") == 200

    def _unsigned_token(self) -> str:
        """Make an access token that only the provider's keys can show to be none."""
        claims = {"iss": f"https://127.0.0.1:{self.port}", "sub": "1", "aud": AUDIENCE, "iat": 0, "exp": 2**32}
        parts = ({"alg": "RS256", "kid": "key-0", "typ": "at+jwt"}, claims, "signature")
        return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)

    def open(self, service: Service, email: str) -> Headers:
        return self.enter(service, email)

    def enter(self, service: Service, email: str) -> Headers:
        """Go the way of a browser: to the provider, through its page, and back."""
        _ = self._provider
        begun = self._begin(service)
        page = urlsplit(begun.headers["Location"])
        form = urlencode({"email": email, "name": "Grace Hopper", "verified": "on"})
        shown = ask(self._connection(), "POST", f"{page.path}?{page.query}", form)
        back = urlsplit(shown.headers["Location"])
        assert f"{back.scheme}://{back.netloc}" == APP_URL, shown
        came = service.request("GET", f"{back.path}?{back.query}", headers={"Cookie": begun.cookie()})
        assert (came.status, came.headers["Location"]) == (302, f"{APP_URL}/todos"), came
        browser = {"Cookie": came.cookie()}
        token = service.request("GET", f"{AUTH}/session", headers=browser).json()["csrf_token"]
        query = dict(parse_qsl(back.query))
        cookies = [answer.cookie().partition("=")[2] for answer in (begun, came)]
        self.secrets += [token, query["code"], query["state"], *cookies]
        return {**browser, "X-CSRF-Token": token}

    def _begin(self, service: Service) -> Answer:
        """Ask to sign in until it leads to the provider: the service asks one that was away only now and then."""
        for _ in range(10):  # seconds; attempts are counted
            answer = service.request("GET", f"{AUTH}/login/acme?return_to=/todos")
            assert answer.status == 302, answer
            if answer.headers["Location"].startswith(f"https://127.0.0.1:{self.port}/"):
                return answer
            time.sleep(1)
        raise AssertionError(answer)

    def _connection(self) -> HTTPSConnection:
        trusted = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        return HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS, context=trusted)

    @cached_property
    def _provider(self) -> subprocess.Popen[str]:
        """Start the provider, with the first who signs in: until then it is away."""
        arguments = (str(self.port), str(self.folder / "server.pem"), CLIENT_SECRET, f"{APP_URL}{AUTH}/callback/acme")
        process = subprocess.Popen(
            [self.project / ".venv/bin/python", "-c", PROVIDER, *arguments],
            cwd=self.project,
            env=environment(),
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.stack.callback(kill, process)
        assert wait_until(lambda: process.poll() is not None or self._answers(), START_SECONDS)
        return process

    def _answers(self) -> bool:
        try:
            return ask(self._connection(), "GET", "/.well-known/openid-configuration").status == 200
        except OSError:
            return False


def sign_up(port: int, terminal: Callable[[], str]) -> Headers:
    """Open an account as a newcomer does in development, who reads the mail on the terminal; sign in.

    Args:
        port: Where the service listens.
        terminal: Returns what it has written.
    """

    def post(path: str, body: object) -> Answer:
        return ask(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS), "POST", f"{AUTH}{path}", body)

    email = "grace@example.com"
    assert post("/register", {"email": email, "name": "Grace Hopper"}).status == 202
    assert wait_until(lambda: TOKEN.search(terminal()) is not None, PATIENCE_SECONDS), terminal()
    opened = post("/verify-email", {"token": TOKEN.findall(terminal())[-1], "password": PASSWORD})
    assert opened.status == 201, opened
    signed_in = post("/token", urlencode({"username": email, "password": PASSWORD}))
    assert signed_in.status == 200, signed_in
    return {"Authorization": f"Bearer {signed_in.json()['access_token']}"}


@contextmanager
def _nobody(project: Path) -> Generator[SignIn]:
    yield _Nobody(project)


@contextmanager
def by_password(project: Path) -> Generator[_ByPassword]:
    """Sign in with a password; mails arrive here."""
    with mailbox() as mails:
        yield _ByPassword(project, mails=mails)


@contextmanager
def by_provider(project: Path) -> Generator[_ByProvider]:
    """Sign in with a provider of our own."""
    (folder := project / ".data").mkdir(exist_ok=True)
    with ExitStack() as stack:
        yield _ByProvider(project, stack=stack, folder=folder)


KINDS: dict[object, Callable[[Path], AbstractContextManager[SignIn]]] = {
    "none": _nobody,
    "jwt": by_password,
    "oidc": by_provider,
}


def sign_in(project: Path) -> AbstractContextManager[SignIn]:
    """Prepare to sign in to a project, in its way."""
    return KINDS[recorded_answers(project)["auth"]](project)
