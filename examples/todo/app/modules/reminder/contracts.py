"""Published reminder events. Fields may be added but never removed."""

from app.messaging.contracts import contract
from app.modules.reminder.events import TodoDue
from app.modules.todo.contracts import TODOS

contract(TodoDue, "todo.due.v1", TODOS, key="todo_id")
