# ty: ignore[import-not-found]
# ruff: noqa: ARG001 - a route that asks for something and does not use it is what is measured
"""Asks an app one thing more with each route, without a server, and tells the CPU of each; runs in a project."""

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
from app.modules.todo.schemas import TodoRead
from app.modules.user.models import User
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import text

REQUESTS, ROUNDS = 200, 15
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


LAYERS = {
    "middlewares, log line, FastAPI": "/nothing",
    "+ an id, and a model as JSON": "/model/{}",
    "+ whose token it is": "/bearer/{}",
    "+ what it allows, twice": "/user/{}",
    "+ a session that is not used": "/session/{}",
    "+ a connection, and SELECT 1": "/connection/{}",
}


async def ask(app: FastAPI, path: str, token: str) -> bytes:
    """Send a request to an app as a server would, and return the body of the answer."""
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "root_path": "",
    }
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return b"".join(message["body"] for message in sent[1:])


async def cpu(asking: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU of one request in microseconds: that of the quietest round, for others disturb."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REQUESTS):
            await asking()
        rounds.append((time.process_time() - began) / REQUESTS * 1e6)
    return min(rounds)


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
        yield app.state.access_tokens.issue(person.id, uuid4(), ["read"]), thing.id


async def layers() -> dict[str, float]:
    """Return what each layer takes with those before it."""
    told = {}
    async with somebody(bare := create_app(routes=router)) as (token, _):
        for name, path in LAYERS.items():
            told[name] = await cpu(lambda path=path: ask(bare, path.format(uuid4()), token))
    async with somebody(whole := create_app()) as (token, todo_id):
        path = f"/api/v1/todos/{todo_id}"
        told["+ the row as an entity, and all routes"] = await cpu(lambda: ask(whole, path, token))
    return told


Path(sys.argv[1]).write_text(json.dumps(uvloop.run(layers())), encoding="utf-8")
