"""The routes of all modules, under one version prefix. Each router that requires a sign-in declares it here."""

from fastapi import APIRouter

from app.core.openapi import EVERY_ROUTE
from app.modules.todo import routes as todo
from app.modules.user import routes as user

# isort: split
# Your own modules: import them below this line, …

router = APIRouter(prefix="/api/v1", responses=EVERY_ROUTE)
# … and include their routes below this one. Then no update of the template gets in their way.

# The template's modules.
router.include_router(user.router, prefix="/users")
router.include_router(todo.router, prefix="/users/{owner_id}/todos")
