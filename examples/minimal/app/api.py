"""The routes of all modules, under one version prefix. Each router that requires a sign-in declares it here."""

from fastapi import APIRouter

from app.core.openapi import COMMON_RESPONSES
from app.modules.todo import routes as todo
from app.modules.user import routes as user

# isort: split
# Your own modules: import them below this line, …

router = APIRouter(prefix="/api/v1", responses=COMMON_RESPONSES)
# … and include their routes below this one. Template updates then do not conflict with them.

# Modules of the template.
router.include_router(user.router, prefix="/users")
router.include_router(todo.router, prefix="/users/{owner_id}/todos")
