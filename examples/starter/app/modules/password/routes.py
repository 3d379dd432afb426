"""Endpoints for registration and passwords."""

from fastapi import APIRouter, status

from app.core.exceptions import TooManyRequestsError
from app.core.openapi import Responses, problems
from app.jwt.passwords import WeakPassword
from app.mail import UnusableAddress
from app.modules.auth.dependencies import REFUSALS, CurrentUser
from app.modules.password.dependencies import AttemptLimiterDep, PasswordServiceDep
from app.modules.password.repository import InvalidMailToken
from app.modules.password.schemas import (
    Accepted,
    ChangeEmailRequest,
    ChangePasswordRequest,
    ConfirmEmailRequest,
    DeleteAccountRequest,
    ForgotPasswordRequest,
    RegisterRequest,
    ResetPasswordRequest,
    VerifyEmailRequest,
)
from app.modules.password.service import WrongPassword
from app.modules.user.schemas import UserRead

router = APIRouter(tags=["auth"], responses=problems(TooManyRequestsError))

PASSWORD_CONFIRMED = REFUSALS | problems(WrongPassword)
EMAIL_TAKEN: Responses = {status.HTTP_409_CONFLICT: {"description": "`email_taken`: another account has this address."}}


@router.post(
    "/register",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Register",
    responses=problems(UnusableAddress),
)
async def register(data: RegisterRequest, service: PasswordServiceDep, attempts: AttemptLimiterDep) -> Accepted:
    """Request an account. To create it, follow the link in the email and choose a password."""
    await attempts.count("register", data.email)
    await service.register(data)
    return Accepted()


@router.post(
    "/verify-email",
    status_code=status.HTTP_201_CREATED,
    summary="Create your account",
    responses=problems(InvalidMailToken, WeakPassword) | EMAIL_TAKEN,
)
async def verify_email(data: VerifyEmailRequest, service: PasswordServiceDep, attempts: AttemptLimiterDep) -> UserRead:
    """Create the account with the token from the email and a password. Then sign in."""
    await attempts.count("verify_email")
    return UserRead.model_validate(await service.verify_email(data.token, data.password.get_secret_value()))


@router.post("/forgot-password", status_code=status.HTTP_202_ACCEPTED, summary="Request a password reset")
async def forgot_password(
    data: ForgotPasswordRequest, service: PasswordServiceDep, attempts: AttemptLimiterDep
) -> Accepted:
    """Request an email with a link to choose a new password."""
    await attempts.count("forgot_password", data.email)
    await service.request_password_reset(data.email)
    return Accepted()


@router.post(
    "/reset-password",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Reset your password",
    responses=problems(InvalidMailToken, WeakPassword),
)
async def reset_password(data: ResetPasswordRequest, service: PasswordServiceDep, attempts: AttemptLimiterDep) -> None:
    """Set a new password with the token from the email. All devices are signed out."""
    await attempts.count("reset_password")
    await service.reset_password(data.token, data.new_password.get_secret_value())


@router.post(
    "/change-password",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Change your password",
    responses=PASSWORD_CONFIRMED | problems(WeakPassword),
)
async def change_password(
    data: ChangePasswordRequest,
    user: CurrentUser,
    service: PasswordServiceDep,
    attempts: AttemptLimiterDep,
) -> None:
    """Change your password. All other devices are signed out."""
    await attempts.count("confirm_password", str(user.user_id))
    await service.change_password(
        user.user_id,
        data.current_password.get_secret_value(),
        data.new_password.get_secret_value(),
        keep=user.session_id,
    )


@router.post(
    "/change-email",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Change your email address",
    responses=PASSWORD_CONFIRMED | problems(UnusableAddress),
)
async def change_email(
    data: ChangeEmailRequest, user: CurrentUser, service: PasswordServiceDep, attempts: AttemptLimiterDep
) -> Accepted:
    """Request a new email address. It takes effect when you follow the link sent to it."""
    await attempts.count("confirm_password", str(user.user_id))
    await service.change_email(user.user_id, data.current_password.get_secret_value(), data.new_email)
    return Accepted()


@router.post(
    "/confirm-email",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Confirm your new email address",
    responses=problems(InvalidMailToken) | EMAIL_TAKEN,
)
async def confirm_email(data: ConfirmEmailRequest, service: PasswordServiceDep, attempts: AttemptLimiterDep) -> None:
    """Confirm the new email address with the token from the email. All devices are signed out."""
    await attempts.count("confirm_email")
    await service.confirm_email(data.token)


@router.post(
    "/delete-account",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete your account",
    responses=PASSWORD_CONFIRMED,
)
async def delete_account(
    data: DeleteAccountRequest, user: CurrentUser, service: PasswordServiceDep, attempts: AttemptLimiterDep
) -> None:
    """Delete your account and all its data."""
    await attempts.count("confirm_password", str(user.user_id))
    await service.delete_account(user.user_id, data.current_password.get_secret_value())
