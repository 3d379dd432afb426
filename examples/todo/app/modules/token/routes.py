"""Sign-in and sign-out endpoints."""

from typing import Annotated

from fastapi import APIRouter, Form, Response, status

from app.core.exception_handlers import error_response
from app.core.exceptions import TooManyRequestsError
from app.core.openapi import problems
from app.modules.auth.dependencies import REFUSALS, AnyPrincipal
from app.modules.auth.service import InvalidScope
from app.modules.password.dependencies import AttemptLimiterDep, PasswordServiceDep
from app.modules.password.service import WrongCredentials
from app.modules.token.dependencies import AccessTokensDep, TokenServiceDep
from app.modules.token.schemas import KeySet, RefreshRequest, SignInForm, Tokens
from app.modules.token.service import InvalidRefreshToken, RefreshedJustNow

router = APIRouter(tags=["auth"])

NO_STORE = {"Cache-Control": "no-store"}  # RFC 6749 §5.1


@router.post("/token", summary="Sign in", responses=problems(WrongCredentials, InvalidScope, TooManyRequestsError))
async def log_in(
    form: Annotated[SignInForm, Form()],
    tokens: TokenServiceDep,
    passwords: PasswordServiceDep,
    attempts: AttemptLimiterDep,
    response: Response,
) -> Tokens:
    """Sign in with email address and password; returns an access token and a refresh token."""
    await attempts.count("login", form.username)
    issued = await tokens.sign_in(
        passwords, form.username, form.password.get_secret_value(), frozenset(form.scope.split()), attempts.device
    )
    await attempts.record_success("login", form.username)
    response.headers.update(NO_STORE)
    return issued


@router.post(
    "/refresh",
    response_model=Tokens,
    summary="Exchange a refresh token",
    responses=problems(InvalidRefreshToken, RefreshedJustNow),
)
async def refresh(data: RefreshRequest, tokens: TokenServiceDep, response: Response) -> Tokens | Response:
    """Exchange a refresh token for new tokens. Each refresh token is valid once; reusing it ends the session."""
    exchanged = await tokens.refresh(data.refresh_token)
    if exchanged is None:
        return error_response(InvalidRefreshToken())  # Raising would roll back the end of the session.
    response.headers.update(NO_STORE)
    return exchanged


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, summary="Sign out", responses=REFUSALS)
async def log_out(user: AnyPrincipal, tokens: TokenServiceDep) -> None:
    """End this session. Its refresh token is revoked; its access token is valid until it expires in a few minutes."""
    await tokens.sign_out(user)


@router.get("/jwks", summary="Read the public keys")
async def get_keys(access_tokens: AccessTokensDep) -> KeySet:
    """Return the public keys that verify access tokens. The list is empty if a shared secret signs them."""
    return KeySet.model_validate(access_tokens.keys.jwks())
