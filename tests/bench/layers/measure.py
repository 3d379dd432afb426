# ty: ignore[import-not-found]
# ruff: noqa: ARG001 - the cost of unused dependencies is measured
"""Measure routes that each add one layer, without a server. Runs in a project."""

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
from app.core.runtime import runtime_of
from app.db.session import Database, SessionDep, transaction
from app.jwt.access_tokens import AccessTokens
from app.main import create_app
from app.modules.auth.dependencies import SIGNED_IN, AnyPrincipal, CurrentUser
from app.modules.feed.repository import FeedRepository
from app.modules.todo import routes as todo
from app.modules.todo.models import Todo
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoCreate, TodoRead
from app.modules.user.models import User
from app.start import GC_THRESHOLD
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

BODY = b'{"title": "Buy milk"}'
RESPONSE = TodoRead.model_validate(Todo(owner_id=uuid4(), title="Buy milk"))

router = APIRouter()


@router.get("/nothing")
async def nothing() -> None:
    """Run middlewares, access log and FastAPI."""


@router.get("/model/{todo_id}")
async def model(todo_id: UUID) -> TodoRead:
    """Parse an id, and serialize a model."""
    return RESPONSE


@router.get("/bearer/{todo_id}")
async def bearer(todo_id: UUID, principal: AnyPrincipal) -> TodoRead:
    """Verify the access token."""
    return RESPONSE


@router.get("/user/{todo_id}", dependencies=SIGNED_IN)
async def user(todo_id: UUID, principal: CurrentUser) -> TodoRead:
    """Check the scopes, for the router and for the route."""
    return RESPONSE


@router.get("/session/{todo_id}", dependencies=SIGNED_IN)
async def session(todo_id: UUID, todos: todo.TodoServiceDep) -> TodoRead:
    """Open a session without using it."""
    return RESPONSE


async def _select_one(session: SessionDep, _: CurrentUser) -> None:
    await (await session.connection()).execute(text("SELECT 1"))


@router.get("/connection/{todo_id}", dependencies=SIGNED_IN)
async def connection(todo_id: UUID, todos: todo.TodoServiceDep, _: Annotated[None, Depends(_select_one)]) -> TodoRead:
    """Check out a connection, and run a minimal query."""
    return RESPONSE


@router.post("/body", status_code=201)
async def body(data: TodoCreate, principal: CurrentUser) -> TodoRead:
    """Parse a body, and verify the access token."""
    return RESPONSE


@router.post("/transaction", status_code=201)
async def begin(data: TodoCreate, owner_id: todo.OwnerId, session: SessionDep) -> TodoRead:
    """Run a minimal query in a transaction."""
    await (await session.connection()).execute(text("SELECT 1"))
    return RESPONSE


@router.post("/entity", status_code=201)
async def entity(data: TodoCreate, owner_id: todo.OwnerId, session: SessionDep) -> TodoRead:
    """Insert only the to-do."""
    return TodoRead.model_validate(await _saved(data, owner_id, session))


@router.post("/change", status_code=201)
async def change(data: TodoCreate, owner_id: todo.OwnerId, session: SessionDep) -> TodoRead:
    """Insert the to-do, and its change for the feed."""
    written = await _saved(data, owner_id, session)
    await FeedRepository(session).add_change(owner_id, written.id, "created")
    return TodoRead.model_validate(written)


async def _saved(data: TodoCreate, owner_id: UUID, session: AsyncSession) -> Todo:
    return await TodoRepository(session).save(Todo(owner_id=owner_id, **data.model_dump()))


READING = {
    "middlewares, access log, FastAPI": "/nothing",
    "+ parse an id, serialize a model": "/model/{}",
    "+ verify the access token": "/bearer/{}",
    "+ check its scopes, twice": "/user/{}",
    "+ open a session": "/session/{}",
    "+ check out a connection, SELECT 1": "/connection/{}",
}
WRITING = {
    "parse a body, verify the access token": "/body",
    "+ BEGIN, SELECT 1, COMMIT": "/transaction",
    "+ insert the to-do instead of SELECT 1": "/entity",
    "+ insert the change for the feed": "/change",
}


async def send_to_app(app: FastAPI, method: str, path: str, token: str) -> bytes:
    """Send a request to an app as a server does, and return the body of the response."""
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


async def cpu(send_request: Callable[[], Awaitable[object]], requests: int, rounds: int) -> float:
    """Return the CPU microseconds per request of the fastest round, which was disturbed least."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(requests):
            await send_request()
        times.append((time.process_time() - started) / requests * 1e6)
    return min(times)


@asynccontextmanager
async def user_with_todo(app: FastAPI) -> AsyncGenerator[tuple[str, UUID]]:
    """Start an app, and create a user with a to-do; yield an access token and the id of the to-do."""
    async with app.router.lifespan_context(app):
        async with transaction(runtime_of(app)[Database].write) as session:
            owner = User(email=f"{uuid4()}@example.com", name="Ada")
            session.add(owner)
            await session.flush()
            item = Todo(owner_id=owner.id, title="Buy milk")
            session.add(item)
        yield runtime_of(app)[AccessTokens].issue(owner.id, uuid4(), ["read", "write"]), item.id


async def layers(requests: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the CPU time of each layer together with those before it."""
    bare, full = create_app(routes=router), create_app()
    results: dict[str, dict[str, float]] = {"get": {}, "create": {}}

    async def measure(app: FastAPI, token: str, kind: str, name: str, path: str) -> None:
        method = "GET" if kind == "get" else "POST"
        results[kind][name] = await cpu(lambda: send_to_app(app, method, path, token), requests, rounds)

    async with user_with_todo(bare) as (token, _):
        for name, path in READING.items():
            await measure(bare, token, "get", name, path.format(uuid4()))
        for name, path in WRITING.items():
            await measure(bare, token, "create", name, path)
    async with user_with_todo(full) as (token, todo_id):
        await measure(full, token, "get", "+ load the entity, all routes", f"/api/v1/todos/{todo_id}")
        await measure(full, token, "create", "+ idempotency keys, events, all routes", "/api/v1/todos")
    return results


def main(results: Path, requests: int, rounds: int) -> None:
    """Measure, and write the results as JSON, with the garbage collector configured as by `app`."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    results.write_text(json.dumps(uvloop.run(layers(requests, rounds))), encoding="utf-8")


main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
