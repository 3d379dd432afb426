"""Accounts with a password over HTTP."""

from fastapi import APIRouter, status

from app.core.exceptions import TooManyRequestsError
from app.core.openapi import Responses, problems
from app.jwt.passwords import WeakPassword
from app.mail import UnusableAddress
from app.modules.auth.dependencies import REFUSALS, CurrentUser
from app.modules.password import mails
from app.modules.password.dependencies import AfterAnswering, PasswordsDep, PasswordServiceDep
from app.modules.password.schemas import (
    Accepted,
    ChangeEmailRequest,
    ChangePasswordRequest,
    DeleteAccountRequest,
    ForgotPasswordRequest,
    RegisterRequest,
    ResetPasswordRequest,
    VerifyEmailRequest,
)
from app.modules.password.service import InvalidMailToken, PasswordService, WrongPassword
from app.modules.user.schemas import UserRead
from app.security.rate_limits import DeviceDep, RateLimitsDep

router = APIRouter(tags=["auth"], responses=problems(TooManyRequestsError))

CONFIRMED = REFUSALS | problems(WrongPassword)
TAKEN: Responses = {status.HTTP_409_CONFLICT: {"description": "`email_taken`: somebody else was faster."}}


@router.post(
    "/register",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Ask for an account",
    responses=problems(WeakPassword, UnusableAddress),
)
async def register(
    data: RegisterRequest,
    passwords: PasswordsDep,
    after_answering: AfterAnswering,
    limits: RateLimitsDep,
    device: DeviceDep,
) -> Accepted:
    """Ask for an account. It is opened by the link in a mail."""
    await limits.count("register", device, data.email)
    mails.check_address(data.email)
    await passwords.check(data.password.get_secret_value(), data.email, data.name)

    async def go_on(service: PasswordService) -> None:
        await service.register(data, await passwords.hash(data.password.get_secret_value()))

    after_answering(go_on)
    return Accepted()


@router.post(
    "/verify-email",
    status_code=status.HTTP_201_CREATED,
    summary="Open your account",
    responses=problems(InvalidMailToken) | TAKEN,
)
async def verify_email(
    data: VerifyEmailRequest, service: PasswordServiceDep, limits: RateLimitsDep, device: DeviceDep
) -> UserRead:
    """Open the account with the token from the mail. Then sign in."""
    await limits.count("verify_email", device)
    return UserRead.model_validate(await service.verify_email(data.token))


@router.post("/forgot-password", status_code=status.HTTP_202_ACCEPTED, summary="Ask for a new password")
async def forgot_password(
    data: ForgotPasswordRequest, after_answering: AfterAnswering, limits: RateLimitsDep, device: DeviceDep
) -> Accepted:
    """Ask for a link to choose a new password."""
    await limits.count("forgot_password", device, data.email)
    after_answering(lambda service: service.forgot(data.email))
    return Accepted()


@router.post(
    "/reset-password",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Choose a new password",
    responses=problems(InvalidMailToken, WeakPassword),
)
async def reset_password(
    data: ResetPasswordRequest, service: PasswordServiceDep, limits: RateLimitsDep, device: DeviceDep
) -> None:
    """Choose a new password with the token from the mail. All devices are signed out."""
    await limits.count("reset_password", device)
    await service.reset(data.token, data.new_password.get_secret_value())


@router.post(
    "/change-password",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Change your password",
    responses=CONFIRMED | problems(WeakPassword),
)
async def change_password(
    data: ChangePasswordRequest,
    user: CurrentUser,
    service: PasswordServiceDep,
    limits: RateLimitsDep,
    device: DeviceDep,
) -> None:
    """Change your password. All other devices are signed out."""
    await limits.count("confirm_password", device, str(user.user_id))
    await service.change(
        user.user_id,
        data.current_password.get_secret_value(),
        data.new_password.get_secret_value(),
        keep=user.session_id,
    )


@router.post(
    "/change-email",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Change your e-mail address",
    responses=CONFIRMED | problems(UnusableAddress),
)
async def change_email(
    data: ChangeEmailRequest, user: CurrentUser, service: PasswordServiceDep, limits: RateLimitsDep, device: DeviceDep
) -> Accepted:
    """Ask for another address. It is yours when you have followed the link in the mail to it."""
    await limits.count("confirm_password", device, str(user.user_id))
    await service.change_email(user.user_id, data.current_password.get_secret_value(), data.new_email)
    return Accepted()


@router.post(
    "/confirm-email",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Confirm your new e-mail address",
    responses=problems(InvalidMailToken) | TAKEN,
)
async def confirm_email(
    data: VerifyEmailRequest, service: PasswordServiceDep, limits: RateLimitsDep, device: DeviceDep
) -> None:
    """Use the new address from now on."""
    await limits.count("verify_email", device)
    await service.confirm_email(data.token)


@router.post(
    "/delete-account", status_code=status.HTTP_204_NO_CONTENT, summary="Close your account", responses=CONFIRMED
)
async def delete_account(
    data: DeleteAccountRequest, user: CurrentUser, service: PasswordServiceDep, limits: RateLimitsDep, device: DeviceDep
) -> None:
    """Close your account and delete what belongs to it."""
    await limits.count("confirm_password", device, str(user.user_id))
    await service.delete_account(user.user_id, data.current_password.get_secret_value())
