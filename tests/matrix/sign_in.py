"""Sign in to a project, for each authentication method."""

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

from tests.mailbox import TIMEOUT_SECONDS, TOKEN, Mailbox, mailbox
from tests.matrix.processes import environment, run
from tests.matrix.service import START_SECONDS, Response, Service, ask, free_port, kill, wait_until
from tests.rendering import recorded_answers

AUTH = "/api/v1/auth"
APP_URL = "https://app.example.com"
ADMINISTRATOR = "root@example.com"
PASSWORD = "four teapots sang quietly"  # noqa: S105 - a test password

COMMAND_SECONDS = 300

Headers = Mapping[str, str]
Settings = dict[str, str]


@dataclass
class SignIn(ABC):
    """An authentication method, prepared for a project."""

    project: Path
    settings: Settings = field(default_factory=dict)  # the settings that production needs for it
    secrets: list[str] = field(default_factory=list)  # texts that must not occur in logs

    invalid_settings: ClassVar[tuple[tuple[str, str | None], ...]] = ()
    """Values with which production must not start; None means that the variable is not set."""

    @abstractmethod
    def create_admin(self, settings: Settings) -> str:
        """Create an administrator, and return the output of the command."""

    @abstractmethod
    def check_anonymous(self, service: Service) -> None:
        """Check the responses to unauthenticated requests."""

    @abstractmethod
    def register(self, service: Service, email: str) -> Headers:
        """Register a new user, sign in, and return the headers for requests."""

    @abstractmethod
    def log_in(self, service: Service, email: str) -> Headers:
        """Sign in, and return the headers for requests."""

    def app(self, *arguments: str, stdin: str = "", settings: Settings | None = None) -> str:
        """Run a command of the project."""
        command = (str(self.project / ".venv/bin/app"), *arguments)
        return run(self.project, *command, timeout=COMMAND_SECONDS, stdin=stdin, **(settings or {}))


class _NoSignIn(SignIn):
    """No authentication: every client has full access."""

    def create_admin(self, settings: Settings) -> str:  # noqa: ARG002 - subclasses need it
        return ""

    def check_anonymous(self, service: Service) -> None:
        pass

    def register(self, service: Service, email: str) -> Headers:  # noqa: ARG002
        return {}

    def log_in(self, service: Service, email: str) -> Headers:  # noqa: ARG002
        return {}


class _RequiredSignIn(SignIn):
    """Users must sign in."""

    def create_admin(self, settings: Settings) -> str:
        output = self.app("users", "create-admin", ADMINISTRATOR, stdin=f"{PASSWORD}\n", settings=settings)
        assert f"{ADMINISTRATOR} is an administrator" in output, output
        return output

    def check_anonymous(self, service: Service) -> None:
        for method, path in (("GET", "/users"), ("POST", "/users"), ("GET", "/auth/me"), ("GET", "/auth/sessions")):
            for headers in ({}, {"Authorization": "Bearer nonsense"}):
                response = service.request(method, f"/api/v1{path}", headers=headers)
                assert response.status == 401, (path, response)
                assert response.headers["WWW-Authenticate"].startswith("Bearer"), path


@dataclass
class _PasswordSignIn(_RequiredSignIn):
    inbox: Mailbox = field(kw_only=True)
    invalid_settings: ClassVar = (
        ("JWT_SECRET_KEY", None),
        ("JWT_SECRET_KEY", "please-change-me-before-you-deploy-this"),
        ("AUTH_APP_URL", "http://app.example.com"),
        ("SMTP_HOST", None),
    )

    def __post_init__(self) -> None:
        self.secrets.append(PASSWORD)
        self.settings |= {"AUTH_APP_URL": APP_URL, **self._create_signing_key(), **self.inbox.settings()}

    def _create_signing_key(self) -> Settings:
        """Create keys or a secret with the commands of the project; some variants use keys, others a secret."""
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

    def check_anonymous(self, service: Service) -> None:
        super().check_anonymous(service)
        assert self._token(service, ADMINISTRATOR, "three teapots sang quietly").status == 401

    def register(self, service: Service, email: str) -> Headers:
        registered = service.request("POST", f"{AUTH}/register", {"email": email, "name": "Grace Hopper"})
        assert registered.status == 202, registered
        proof = {"token": self._emailed_token(email), "password": PASSWORD}
        verified = service.request("POST", f"{AUTH}/verify-email", proof)
        assert verified.status == 201, verified
        return self.log_in(service, email)

    def log_in(self, service: Service, email: str) -> Headers:
        response = self._token(service, email, PASSWORD)
        assert response.status == 200, response
        tokens = response.json()
        self.secrets += [tokens["access_token"], tokens["refresh_token"]]
        return {"Authorization": f"Bearer {tokens['access_token']}"}

    def reset_password(self, service: Service, email: str) -> None:
        """Set a password with the link in an email."""
        assert service.request("POST", f"{AUTH}/forgot-password", {"email": email}).status == 202
        reset = {"token": self._emailed_token(email), "new_password": PASSWORD}
        response = service.request("POST", f"{AUTH}/reset-password", reset)
        assert response.status == 204, response

    def _emailed_token(self, email: str) -> str:
        self.secrets.append(self.inbox.token(email))
        return self.secrets[-1]

    def _token(self, service: Service, email: str, password: str) -> Response:
        return service.request("POST", f"{AUTH}/token", urlencode({"username": email, "password": password}))


# The provider of the project's tests, with TLS, because production requires it.
PROVIDER = """
import sys
import uvicorn
from tests.identity_provider import IdentityProvider
port, certificate, secret, redirect_uri = sys.argv[1:]
provider = IdentityProvider(issuer=f"https://127.0.0.1:{port}", client_secret=secret, redirect_uris=(redirect_uri,))
uvicorn.run(provider.app(), port=int(port), ssl_keyfile=certificate, ssl_certfile=certificate, log_level="warning")
"""
CLIENT_SECRET = "only-between-us-and-acme"  # noqa: S105 - a test secret
AUDIENCE = "https://api.example.com"


@dataclass
class _ProviderSignIn(_RequiredSignIn):
    stack: ExitStack = field(kw_only=True)
    folder: Path = field(kw_only=True)  # for certificates
    port: int = field(default_factory=free_port)
    invalid_settings: ClassVar = (
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

    def check_anonymous(self, service: Service) -> None:
        super().check_anonymous(service)
        assert [provider["name"] for provider in service.request("GET", f"{AUTH}/providers").json()] == ["acme"]
        self._check_provider_unavailable(service)

    def _check_provider_unavailable(self, service: Service) -> None:
        """Check the responses while the provider is unavailable."""
        response = service.request("GET", f"{AUTH}/login/acme")
        assert (response.status, response.headers["Location"]) == (302, f"{APP_URL}/?error=provider_unavailable"), (
            response
        )
        response = service.request("GET", f"{AUTH}/me", headers={"Authorization": f"Bearer {self._unsigned_token()}"})
        assert (response.status, response.json()["code"]) == (503, "provider_unavailable"), response
        assert service.status("/health/ready") == 200

    def _unsigned_token(self) -> str:
        """Create an access token whose invalid signature can only be detected with the keys of the provider."""
        claims = {"iss": f"https://127.0.0.1:{self.port}", "sub": "1", "aud": AUDIENCE, "iat": 0, "exp": 2**32}
        parts = ({"alg": "RS256", "kid": "key-0", "typ": "at+jwt"}, claims, "signature")
        return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)

    def register(self, service: Service, email: str) -> Headers:
        return self.log_in(service, email)

    def log_in(self, service: Service, email: str) -> Headers:
        """Sign in like a browser: submit the form of the provider, and follow the redirect back."""
        _ = self._provider
        login = self._begin_login(service)
        page = urlsplit(login.headers["Location"])
        form = urlencode({"email": email, "name": "Grace Hopper", "verified": "on"})
        submitted = ask(self._connection(), "POST", f"{page.path}?{page.query}", form)
        redirect = urlsplit(submitted.headers["Location"])
        assert f"{redirect.scheme}://{redirect.netloc}" == APP_URL, submitted
        callback = service.request("GET", f"{redirect.path}?{redirect.query}", headers={"Cookie": login.cookie()})
        assert (callback.status, callback.headers["Location"]) == (302, f"{APP_URL}/todos"), callback
        browser = {"Cookie": callback.cookie()}
        token = service.request("GET", f"{AUTH}/session", headers=browser).json()["csrf_token"]
        query = dict(parse_qsl(redirect.query))
        cookies = [response.cookie().partition("=")[2] for response in (login, callback)]
        self.secrets += [token, query["code"], query["state"], *cookies]
        return {**browser, "X-CSRF-Token": token}

    def _begin_login(self, service: Service) -> Response:
        """Start a sign-in until it redirects to the provider; the service retries an unavailable one only at intervals."""
        for _ in range(10):  # seconds; attempts are counted
            response = service.request("GET", f"{AUTH}/login/acme?return_to=/todos")
            assert response.status == 302, response
            if response.headers["Location"].startswith(f"https://127.0.0.1:{self.port}/"):
                return response
            time.sleep(1)
        raise AssertionError(response)

    def _connection(self) -> HTTPSConnection:
        trusted = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        return HTTPSConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS, context=trusted)

    @cached_property
    def _provider(self) -> subprocess.Popen[str]:
        """The provider, started by the first sign-in; until then it is unavailable."""
        arguments = (str(self.port), str(self.folder / "server.pem"), CLIENT_SECRET, f"{APP_URL}{AUTH}/callback/acme")
        process = subprocess.Popen(
            [self.project / ".venv/bin/python", "-c", PROVIDER, *arguments],
            cwd=self.project,
            env=environment(),
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.stack.callback(kill, process)
        assert wait_until(lambda: process.poll() is not None or self._responds(), START_SECONDS)
        return process

    def _responds(self) -> bool:
        try:
            return ask(self._connection(), "GET", "/.well-known/openid-configuration").status == 200
        except OSError:
            return False


def sign_up(port: int, terminal: Callable[[], str]) -> Headers:
    """Register in development, where emails are printed, sign in, and return the headers for requests.

    Args:
        port: The port of the service.
        terminal: Returns the output of the service.
    """

    def post(path: str, body: object) -> Response:
        return ask(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), "POST", f"{AUTH}{path}", body)

    email = "grace@example.com"
    assert post("/register", {"email": email, "name": "Grace Hopper"}).status == 202
    assert wait_until(lambda: TOKEN.search(terminal()) is not None, TIMEOUT_SECONDS), terminal()
    verified = post("/verify-email", {"token": TOKEN.findall(terminal())[-1], "password": PASSWORD})
    assert verified.status == 201, verified
    signed_in = post("/token", urlencode({"username": email, "password": PASSWORD}))
    assert signed_in.status == 200, signed_in
    return {"Authorization": f"Bearer {signed_in.json()['access_token']}"}


@contextmanager
def no_sign_in(project: Path) -> Generator[SignIn]:
    yield _NoSignIn(project)


@contextmanager
def password_sign_in(project: Path) -> Generator[_PasswordSignIn]:
    """Sign in with a password; emails are received here."""
    with mailbox() as inbox:
        yield _PasswordSignIn(project, inbox=inbox)


@contextmanager
def provider_sign_in(project: Path) -> Generator[_ProviderSignIn]:
    """Sign in with a local identity provider."""
    (folder := project / ".data").mkdir(exist_ok=True)
    with ExitStack() as stack:
        yield _ProviderSignIn(project, stack=stack, folder=folder)


SIGN_INS: dict[object, Callable[[Path], AbstractContextManager[SignIn]]] = {
    "none": no_sign_in,
    "jwt": password_sign_in,
    "oidc": provider_sign_in,
}


def sign_in(project: Path) -> AbstractContextManager[SignIn]:
    """Prepare the authentication method of a project."""
    return SIGN_INS[recorded_answers(project)["auth"]](project)
