"""A small, strict OpenID provider.

Tests run it in process. In development it can run as a server, which accepts any identity:
`uv run python -m tests.identity_provider`.
"""

import base64
import hashlib
import html
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import jwt
import typer
import uvicorn
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

LIFETIME_SECONDS = 300
TIME_CLAIMS = ("exp", "nbf", "iat")

Claims = dict[str, Any]


@cache
def private_key(number: int) -> RSAPrivateKey:
    """Return the same key each time, because generating one is slow."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def from_now(claims: Claims) -> Claims:
    """Convert times from seconds relative to now to timestamps."""
    times = {name: int(time.time()) + claims[name] for name in TIME_CLAIMS if isinstance(claims.get(name), int)}
    return claims | times


@dataclass
class Person:
    """A user of the provider."""

    sub: str
    email: str
    email_verified: bool = True
    name: str = "Ada Lovelace"


@dataclass
class IdentityProvider:
    """An OpenID provider with one client."""

    issuer: str = "https://id.example.com"
    client_id: str = "app"
    client_secret: str = "development"
    audience: str = "https://api.example.com"
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()

    person: Person | None = None  # signs in automatically; None shows a page
    people: dict[str, Person] = field(default_factory=dict)
    tamper: Callable[[Claims], Claims] = field(
        default=lambda claims: claims
    )  # modifies ID tokens before they are signed
    metadata: Claims = field(default_factory=dict)  # overrides the discovery document
    unavailable: bool = False
    key: int = 0
    jwk: Claims | None = None  # replaces the public key
    requests: list[str] = field(default_factory=list)
    grants: dict[str, Claims] = field(default_factory=dict)

    def app(self) -> ASGIApp:
        """Return the provider as an ASGI app."""
        app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/jwks", self.jwks),
                Route("/authorize", self.authorize, methods=["GET", "POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/userinfo", self.userinfo),
                Route("/end_session", self.end_session),
            ]
        )

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            await (HTMLResponse("Unavailable.", 503) if self.unavailable else app)(scope, receive, send)

        return respond

    async def discovery(self, request: Request) -> Response:
        self.requests.append("discovery")
        endpoints = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "jwks",
            "userinfo_endpoint": "userinfo",
            "end_session_endpoint": "end_session",
        }
        document = {
            "issuer": self.issuer,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(
            {name: f"{self.issuer}/{path}" for name, path in endpoints.items()} | document | self.metadata
        )

    async def jwks(self, request: Request) -> Response:
        self.requests.append("jwks")
        return JSONResponse({"keys": [self.public_jwk() if self.jwk is None else self.jwk]})

    def public_jwk(self) -> Claims:
        public = RSAAlgorithm.to_jwk(private_key(self.key).public_key(), as_dict=True)
        return {**public, "kid": f"key-{self.key}", "use": "sig", "alg": "RS256"}

    def sign(self, claims: Claims, kind: str = "JWT", **header: Any) -> str:
        headers = {"kid": f"key-{self.key}", "typ": kind} | header
        return jwt.encode(claims, private_key(self.key), "RS256", headers)

    # ── login ──

    async def authorize(self, request: Request) -> Response:
        """Authenticate the user, and redirect to the client with a code."""
        parameters = dict(request.query_params)
        if parameters.get("client_id") != self.client_id or parameters.get("redirect_uri") not in self.redirect_uris:
            return HTMLResponse("Unknown client_id or redirect_uri.", 400)
        if error := self._authorization_error(parameters):
            return self._redirect_to_client(parameters, error=error)
        person = self.person
        if request.method == "POST":
            form = await _form(request)
            if "cancel" in form:
                return self._redirect_to_client(parameters, error="access_denied")
            subject = hashlib.sha256(form["email"].encode()).hexdigest()[:16]
            person = Person(subject, form["email"], "verified" in form, form["name"])
        if person is None:
            return HTMLResponse(PAGE.format(action=html.escape(f"?{request.url.query}")))
        self.people[person.sub] = person
        code = secrets.token_urlsafe()
        self.grants[code] = parameters | {"person": person}
        return self._redirect_to_client(parameters, code=code)

    def _authorization_error(self, parameters: Claims) -> str | None:
        if parameters.get("response_type") != "code":
            return "unsupported_response_type"
        if "openid" not in parameters.get("scope", "").split():
            return "invalid_scope"
        if parameters.get("code_challenge_method") != "S256" or len(parameters.get("code_challenge", "")) != 43:
            return "invalid_request"
        return None

    def _redirect_to_client(self, parameters: Claims, **response_parameters: str) -> Response:
        """Redirect to the client. The response includes the issuer (RFC 9207)."""
        response_parameters |= {"iss": self.issuer} | ({"state": parameters["state"]} if "state" in parameters else {})
        return RedirectResponse(f"{parameters['redirect_uri']}?{urlencode(response_parameters)}", 302)

    async def token(self, request: Request) -> Response:
        """Exchange a code, once, for the client that requested it."""
        self.requests.append("token")
        form = await _form(request)
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        if form.get("grant_type") != "authorization_code":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        grant = self.grants.pop(form.get("code", ""), None)
        if grant is None or not _matches_grant(form, grant):
            return JSONResponse({"error": "invalid_grant"}, 400)
        person: Person = grant["person"]
        response_parameters = {
            "access_token": self.access_token(person, scope=grant["scope"]),
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "id_token": self.id_token(person, grant.get("nonce")),
        }
        return JSONResponse(response_parameters, headers={"Cache-Control": "no-store"})

    def id_token(self, person: Person, nonce: str | None) -> str:
        claims = self._claims(person, self.client_id) | asdict(person) | {"nonce": nonce}
        return self.sign(self.tamper(claims))

    def access_token(self, person: Person, **changes: Any) -> str:
        """Return an access token; claims that are changed to None are omitted."""
        claims = self._claims(person, self.audience) | {"client_id": self.client_id} | changes
        return self.sign({name: value for name, value in claims.items() if value is not None}, "at+jwt")

    def _claims(self, person: Person, audience: str) -> Claims:
        now = int(time.time())
        return {"iss": self.issuer, "sub": person.sub, "aud": audience, "iat": now, "exp": now + LIFETIME_SECONDS}

    # ── after the login ──

    async def userinfo(self, request: Request) -> Response:
        self.requests.append("userinfo")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = self._decode(token, audience=self.audience)
            return JSONResponse(asdict(self.people[claims["sub"]]))
        except (jwt.PyJWTError, KeyError):
            return JSONResponse({"error": "invalid_token"}, 401)

    async def end_session(self, request: Request) -> Response:
        """Sign out, and redirect to a registered page."""
        parameters = request.query_params
        try:
            self._decode(parameters.get("id_token_hint", ""), audience=self.client_id, options={"verify_exp": False})
        except jwt.PyJWTError:
            return HTMLResponse("Unknown id_token_hint.", 400)
        if parameters.get("post_logout_redirect_uri") not in self.post_logout_redirect_uris:
            return HTMLResponse("Unknown post_logout_redirect_uri.", 400)
        return RedirectResponse(parameters["post_logout_redirect_uri"], 302)

    def _decode(self, token: str, **options: Any) -> Claims:
        return jwt.decode(token, private_key(self.key).public_key(), ["RS256"], issuer=self.issuer, **options)


def _matches_grant(form: Claims, grant: Claims) -> bool:
    """Check PKCE (RFC 7636) and the redirect_uri (RFC 6749 §4.1.3)."""
    verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
    return challenge == grant["code_challenge"] and form.get("redirect_uri") == grant["redirect_uri"]


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Development sign-in</title>
<style>
  body {{ font: 1rem/1.5 system-ui; max-width: 22rem; margin: 10vh auto; padding: 0 1rem }}
  label {{ display: block; margin-bottom: 1rem }}
  input[name=email], input[name=name] {{ box-sizing: border-box; width: 100%; font: inherit; padding: .4rem }}
  button {{ font: inherit; padding: .4rem 1rem }}
</style>
<h1>Development sign-in</h1>
<p>This provider is for development. Any email address is accepted.</p>
<form method="post" action="{action}">
  <label>Email address <input name="email" type="email" value="ada@example.com" required autofocus></label>
  <label>Name <input name="name" value="Ada Lovelace" required></label>
  <label><input name="verified" type="checkbox" checked> The address is verified</label>
  <button>Sign in</button>
  <button name="cancel" value="yes" formnovalidate>Cancel</button>
</form>
</html>
"""


def main(
    host: Annotated[str, typer.Option(help="Address to listen on; the issuer is always 127.0.0.1.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9000,
    app: Annotated[str, typer.Option(help="URL of the service.")] = "http://127.0.0.1:8000",
) -> None:
    """Run an OpenID provider that accepts any identity. For development only."""
    provider = IdentityProvider(
        issuer=f"http://127.0.0.1:{port}",
        redirect_uris=(f"{app}/api/v1/auth/callback/dev",),
        post_logout_redirect_uris=(f"{app}/",),
    )
    uvicorn.run(provider.app(), host=host, port=port)


if __name__ == "__main__":
    typer.run(main)
