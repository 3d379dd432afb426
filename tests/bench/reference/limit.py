"""The limit: raw ASGI and a psycopg pool with the same queries. Do not write services like this."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import orjson
from argon2 import PasswordHasher
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from reference.data import DATABASE_URL, EMAIL, PASSWORD, USER, token, user_id_of

TABLES = """
CREATE TABLE "user" (id uuid PRIMARY KEY, email varchar UNIQUE NOT NULL, password varchar NOT NULL);
CREATE TABLE todo (
    id uuid PRIMARY KEY, owner_id uuid NOT NULL REFERENCES "user", title varchar NOT NULL, status varchar NOT NULL,
    due_at timestamptz, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
);
CREATE INDEX ON todo (owner_id, created_at);
"""
READ = "SELECT id, title, status, due_at, created_at, updated_at FROM todo WHERE owner_id = %s "

Connection = AsyncConnection[DictRow]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

passwords = PasswordHasher()
pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
    DATABASE_URL.replace("+psycopg", ""), min_size=20, max_size=20, kwargs={"row_factory": dict_row}, open=False
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Handle a request."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    status, content = await _respond(scope, receive)
    body = orjson.dumps(content)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await pool.open(wait=True)
    async with pool.connection() as connection:
        await connection.execute(TABLES)
        await connection.execute('INSERT INTO "user" VALUES (%s, %s, %s)', (USER, EMAIL, passwords.hash(PASSWORD)))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _respond(scope: Scope, receive: Receive) -> tuple[int, Any]:
    path, method = scope["path"], scope["method"]
    if path == "/health":
        return 200, {"status": "ok"}
    if path == "/token":
        return await _login(await _body(receive))
    owner = UUID(user_id_of(dict(scope["headers"])[b"authorization"].decode()))
    async with pool.connection() as connection:
        await _one(connection, 'SELECT id, email FROM "user" WHERE id = %s', owner)
        if method == "POST":
            return await _create(connection, owner, json.loads(await _body(receive)))
        if path == "/todos":
            return await _list(connection, owner, dict(parse_qsl(scope["query_string"].decode())))
        return 200, await _one(connection, READ + "AND id = %s", owner, UUID(path.rpartition("/")[2]))


async def _one(connection: Connection, query: str, *values: object) -> DictRow:
    row = await (await connection.execute(query, values)).fetchone()
    assert row is not None
    return row


async def _list(connection: Connection, owner: UUID, parameters: dict[str, str]) -> tuple[int, Any]:
    where, values = ("AND status = %s ", [parameters["status"]]) if "status" in parameters else ("", [])
    query = f"{READ}{where}ORDER BY created_at DESC LIMIT %s"
    found = await connection.execute(query, (owner, *values, int(parameters["limit"])))
    return 200, await found.fetchall()


async def _create(connection: Connection, owner: UUID, data: dict[str, str]) -> tuple[int, Any]:
    now = datetime.now(UTC)
    query = (
        "INSERT INTO todo (id, owner_id, title, status, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s) "
        "RETURNING id, title, status, due_at, created_at, updated_at"
    )
    row = await _one(connection, query, uuid4(), owner, data["title"], "open", now, now)
    await connection.commit()
    return 201, row


async def _login(body: bytes) -> tuple[int, Any]:
    form = dict(parse_qsl(body.decode()))
    async with pool.connection() as connection:
        user = await _one(connection, 'SELECT password FROM "user" WHERE email = %s', form["username"])
    await asyncio.to_thread(passwords.verify, user["password"], form["password"])
    return 200, {"access_token": token(), "token_type": "bearer"}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part["body"], part.get("more_body", False)
    return body
