"""Published to-do events. Fields may be added but never removed; the schemas are in `docs/contracts/events`."""

from app.messaging.contracts import Topic, contract
from app.modules.todo.events import TodoChanged, TodoCompleted, TodoCreated, TodoDeleted

TODOS = Topic("todos")

contract(TodoCreated, "todo.created.v1", TODOS, key="todo_id")
contract(TodoChanged, "todo.changed.v1", TODOS, key="todo_id")
contract(TodoCompleted, "todo.completed.v1", TODOS, key="todo_id")
contract(TodoDeleted, "todo.deleted.v1", TODOS, key="todo_id")
