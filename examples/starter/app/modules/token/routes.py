"""Signing in and out over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Form, Response, status

from app.core.exception_handlers import answer
from app.core.exceptions import TooManyRequestsError
from app.core.openapi import problems
from app.modules.auth.dependencies import REFUSALS, AuthServiceDep, Bearer
from app.modules.auth.service import InvalidScope
from app.modules.password.dependencies import AttemptsDep, PasswordServiceDep
from app.modules.password.service import WrongCredentials
from app.modules.token.dependencies import AccessTokensDep, TokenServiceDep
from app.modules.token.schemas import KeySet, RefreshRequest, SignInForm, Tokens
from app.modules.token.service import InvalidRefreshToken, RefreshedJustNow

router = APIRouter(tags=["auth"])

NOT_STORED = {"Cache-Control": "no-store"}  # RFC 6749 §5.1


@router.post("/token", summary="Sign in", responses=problems(WrongCredentials, InvalidScope, TooManyRequestsError))
async def log_in(
    form: Annotated[SignInForm, Form()],
    tokens: TokenServiceDep,
    passwords: PasswordServiceDep,
    attempts: AttemptsDep,
    response: Response,
) -> Tokens:
    """Get tokens for your e-mail address and your password."""
    await attempts.count("login", form.username)
    answered = await tokens.log_in(
        passwords, form.username, form.password.get_secret_value(), frozenset(form.scope.split()), attempts.device
    )
    await attempts.forgive("login", form.username)
    response.headers.update(NOT_STORED)
    return answered


@router.post(
    "/refresh",
    response_model=Tokens,
    summary="Exchange a refresh token",
    responses=problems(InvalidRefreshToken, RefreshedJustNow),
)
async def refresh(data: RefreshRequest, tokens: TokenServiceDep, response: Response) -> Tokens | Response:
    """Get new tokens for a refresh token, which is of no use afterwards. A second use ends the session."""
    exchanged = await tokens.refresh(data.refresh_token)
    if exchanged is None:
        return answer(InvalidRefreshToken())  # Raising would take back that the session has ended.
    response.headers.update(NOT_STORED)
    return exchanged


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, summary="Sign out", responses=REFUSALS)
async def log_out(user: Bearer, auth: AuthServiceDep) -> None:
    """End this session: its refresh token is of no use from now on, its access token in some minutes."""
    await auth.log_out(user)


@router.get("/jwks", summary="Read the public keys")
async def get_keys(access_tokens: AccessTokensDep) -> KeySet:
    """Read the keys that access tokens can be checked with. There are none while one secret signs and checks."""
    return KeySet.model_validate(access_tokens.keys.jwks())
