"""The routes of all modules, under one version prefix. Each router that requires a sign-in declares it here."""

from fastapi import APIRouter

from app.core.openapi import EVERY_ROUTE
from app.modules.auth import routes as auth
from app.modules.auth.dependencies import ADMINISTRATORS, REFUSALS, SIGNED_IN
from app.modules.feed import routes as feed
from app.modules.password import routes as password
from app.modules.todo import routes as todo
from app.modules.token import routes as token
from app.modules.user import routes as user

# isort: split
# Your own modules: import them below this line, …

router = APIRouter(prefix="/api/v1", responses=EVERY_ROUTE)
# … and include their routes below this one. Then no update of the template gets in their way.

# The template's modules.
router.include_router(password.router, prefix="/auth")
router.include_router(token.router, prefix="/auth")
router.include_router(auth.router, prefix="/auth", dependencies=SIGNED_IN)
router.include_router(user.router, prefix="/users", dependencies=ADMINISTRATORS, responses=REFUSALS)
router.include_router(feed.router, prefix="/todos", dependencies=SIGNED_IN, responses=REFUSALS)
router.include_router(todo.router, prefix="/todos", dependencies=SIGNED_IN, responses=REFUSALS)
