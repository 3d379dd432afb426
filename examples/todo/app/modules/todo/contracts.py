"""What other services hear of to-dos. Fields are added and never taken away: `docs/contracts/events` was promised."""

from app.events.contracts import Topic, contract
from app.modules.todo.events import TodoChanged, TodoCompleted, TodoCreated, TodoDeleted

TODOS = Topic("todos")

contract(TodoCreated, "todo.created.v1", TODOS, key="todo_id")
contract(TodoChanged, "todo.changed.v1", TODOS, key="todo_id")
contract(TodoCompleted, "todo.completed.v1", TODOS, key="todo_id")
contract(TodoDeleted, "todo.deleted.v1", TODOS, key="todo_id")
