# ty: ignore[import-not-found]
# ruff: noqa: ARG001 - a route that asks for something and does not use it is what is measured
"""Asks an app one thing more with each route, without a server, and tells the CPU of each; runs in a project."""

import gc
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import uvloop
from app.db.session import SessionDep, transaction
from app.main import create_app
from app.modules.auth.dependencies import SIGNED_IN, Bearer, CurrentUser
from app.modules.todo import routes as todo
from app.modules.todo.models import Todo
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoCreate, TodoRead
from app.modules.user.models import User
from app.start import NEW_OBJECTS
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import text

BODY = b'{"title": "Buy milk"}'
ANSWER = TodoRead.model_validate(Todo(owner_id=uuid4(), title="Buy milk"))

router = APIRouter()


@router.get("/nothing")
async def nothing() -> None:
    """Middlewares, the line in the log, FastAPI."""


@router.get("/model/{todo_id}")
async def model(todo_id: UUID) -> TodoRead:
    """Read an id, and write a model as JSON."""
    return ANSWER


@router.get("/bearer/{todo_id}")
async def bearer(todo_id: UUID, principal: Bearer) -> TodoRead:
    """Look whose token it is."""
    return ANSWER


@router.get("/user/{todo_id}", dependencies=SIGNED_IN)
async def user(todo_id: UUID, principal: CurrentUser) -> TodoRead:
    """Look whether they may, for the router and for the route."""
    return ANSWER


@router.get("/session/{todo_id}", dependencies=SIGNED_IN)
async def session(todo_id: UUID, todos: todo.TodoServiceDep) -> TodoRead:
    """Open a session, and never use it."""
    return ANSWER


async def _ask(session: SessionDep, _: CurrentUser) -> None:
    await (await session.connection()).execute(text("SELECT 1"))


@router.get("/connection/{todo_id}", dependencies=SIGNED_IN)
async def connection(todo_id: UUID, todos: todo.TodoServiceDep, _: Annotated[None, Depends(_ask)]) -> TodoRead:
    """Take a connection, and ask it the least there is."""
    return ANSWER


@router.post("/body", status_code=201)
async def body(data: TodoCreate, principal: CurrentUser) -> TodoRead:
    """Read a body, look whose token it is, and answer."""
    return ANSWER


@router.post("/transaction", status_code=201)
async def begin(data: TodoCreate, owner_id: todo.OwnerId, session: SessionDep) -> TodoRead:
    """Begin a transaction, ask the least there is, and commit."""
    await (await session.connection()).execute(text("SELECT 1"))
    return ANSWER


@router.post("/entity", status_code=201)
async def entity(data: TodoCreate, owner_id: todo.OwnerId, session: SessionDep) -> TodoRead:
    """Write the to-do, and nothing else."""
    return TodoRead.model_validate(await _saved(data, owner_id, TodoRepository(session)))


@router.post("/change", status_code=201)
async def change(data: TodoCreate, owner_id: todo.OwnerId, session: SessionDep) -> TodoRead:
    """Keep the change for the feed, too."""
    todos = TodoRepository(session)
    written = await _saved(data, owner_id, todos)
    await todos.add_change(owner_id, written.id, "TodoCreated")
    return TodoRead.model_validate(written)


async def _saved(data: TodoCreate, owner_id: UUID, todos: TodoRepository) -> Todo:
    return await todos.save(Todo(owner_id=owner_id, **data.model_dump()))


READING = {
    "middlewares, log line, FastAPI": "/nothing",
    "+ an id, and a model as JSON": "/model/{}",
    "+ whose token it is": "/bearer/{}",
    "+ what it allows, twice": "/user/{}",
    "+ a session that is not used": "/session/{}",
    "+ a connection, and SELECT 1": "/connection/{}",
}
WRITING = {
    "a body, and whose token it is": "/body",
    "+ BEGIN, SELECT 1, COMMIT": "/transaction",
    "+ the to-do, in place of SELECT 1": "/entity",
    "+ its number in the feed, and the change": "/change",
}


async def ask(app: FastAPI, method: str, path: str, token: str) -> bytes:
    """Send a request to an app as a server would, and return the body of the answer."""
    body = BODY if method == "POST" else b""
    headers = [
        (b"host", b"localhost"),
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "root_path": "",
    }
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] in {200, 201}, sent
    return b"".join(message["body"] for message in sent[1:])


async def cpu(asking: Callable[[], Awaitable[object]], requests: int, rounds: int) -> float:
    """Return the CPU of one request in microseconds: that of the quietest round, for others disturb."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(requests):
            await asking()
        took.append((time.process_time() - began) / requests * 1e6)
    return min(took)


@asynccontextmanager
async def somebody(app: FastAPI) -> AsyncGenerator[tuple[str, UUID]]:
    """Start an app, and give a person a to-do: yields their token and its id."""
    async with app.router.lifespan_context(app):
        async with transaction(app.state.database.writers) as session:
            person = User(email=f"{uuid4()}@example.com", name="Ada")
            session.add(person)
            await session.flush()
            thing = Todo(owner_id=person.id, title="Buy milk")
            session.add(thing)
        yield app.state.access_tokens.issue(person.id, uuid4(), ["read", "write"]), thing.id


async def layers(requests: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return what each layer of a request takes with those before it."""
    bare, whole = create_app(routes=router), create_app()
    told: dict[str, dict[str, float]] = {"get": {}, "create": {}}

    async def tell(app: FastAPI, token: str, kind: str, name: str, path: str) -> None:
        method = "GET" if kind == "get" else "POST"
        told[kind][name] = await cpu(lambda: ask(app, method, path, token), requests, rounds)

    async with somebody(bare) as (token, _):
        for name, path in READING.items():
            await tell(bare, token, "get", name, path.format(uuid4()))
        for name, path in WRITING.items():
            await tell(bare, token, "create", name, path)
    async with somebody(whole) as (token, todo_id):
        await tell(whole, token, "get", "+ the row as an entity, and all routes", f"/api/v1/todos/{todo_id}")
        await tell(whole, token, "create", "+ idempotency keys, events, and all routes", "/api/v1/todos")
    return told


def main(told: Path, requests: int, rounds: int) -> None:
    """Ask as often, and write down what it took; the garbage collector works as it does under `app`."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    told.write_text(json.dumps(uvloop.run(layers(requests, rounds))), encoding="utf-8")


main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
