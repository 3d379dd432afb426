"""A common implementation: FastAPI, async SQLModel, one session per request, and nothing else."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict
from reference.data import DATABASE_URL, EMAIL, PASSWORD, USER, token, user_id_of
from sqlalchemy import DateTime
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

WHEN = DateTime(timezone=True)


class User(SQLModel, table=True):
    """A user."""

    id: UUID = Field(primary_key=True)
    email: str = Field(unique=True)
    password: str


class Todo(SQLModel, table=True):
    """A to-do."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", index=True)
    title: str
    status: str = "open"
    due_at: datetime | None = Field(default=None, sa_type=WHEN)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=WHEN)
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=WHEN)


class TodoCreate(BaseModel):
    """Request body."""

    title: str


class TodoRead(BaseModel):
    """Response body."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    status: str
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime


POOL = {} if DATABASE_URL.startswith("sqlite") else {"pool_size": 20, "max_overflow": 0}
engine = create_async_engine(DATABASE_URL, **POOL)
sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
passwords = PasswordHasher()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Create the tables and the user."""
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with sessions.begin() as session:
        session.add(User(id=USER, email=EMAIL, password=passwords.hash(PASSWORD)))
    yield


app = FastAPI(lifespan=lifespan)


async def get_session() -> AsyncGenerator[AsyncSession]:
    """Open a session."""
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


async def get_user(session: Session, authorization: Annotated[str, Header()]) -> User:
    """Verify the access token, and load its user."""
    user = await session.get(User, UUID(user_id_of(authorization)))
    if user is None:
        raise HTTPException(401)
    return user


CurrentUser = Annotated[User, Depends(get_user)]


@app.get("/health")
async def health() -> dict[str, str]:
    """Respond without a query."""
    return {"status": "ok"}


@app.post("/token")
async def login(session: Session, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str]:
    """Sign in."""
    user = (await session.exec(select(User).where(col(User.email) == form.username))).one()
    await run_in_threadpool(passwords.verify, user.password, form.password)
    return {"access_token": token(), "token_type": "bearer"}


@app.get("/todos")
async def list_todos(
    session: Session, user: CurrentUser, limit: int = 100, status: str | None = None
) -> list[TodoRead]:
    """List the newest to-dos."""
    query = select(Todo).where(col(Todo.owner_id) == user.id)
    if status is not None:
        query = query.where(col(Todo.status) == status)
    found = await session.exec(query.order_by(col(Todo.created_at).desc()).limit(limit))
    return [TodoRead.model_validate(todo) for todo in found]


@app.get("/todos/{todo_id}")
async def get_todo(todo_id: UUID, session: Session, user: CurrentUser) -> TodoRead:
    """Read a to-do."""
    todo = await session.get(Todo, todo_id)
    if todo is None or todo.owner_id != user.id:
        raise HTTPException(404)
    return TodoRead.model_validate(todo)


@app.post("/todos", status_code=201)
async def create_todo(data: TodoCreate, session: Session, user: CurrentUser) -> TodoRead:
    """Create a to-do; it is committed before the response."""
    todo = Todo(owner_id=user.id, title=data.title)
    session.add(todo)
    await session.commit()
    return TodoRead.model_validate(todo)
