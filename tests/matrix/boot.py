"""Start a project in production mode, send requests, and stop it."""

import json
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.background import background
from tests.matrix.processes import StepError
from tests.matrix.service import START_SECONDS, Service, database, free_port, serving, stop
from tests.matrix.sign_in import ADMINISTRATOR, Headers, Settings, SignIn, sign_in

EXIT_CONFIGURATION = 78
USERS = "/api/v1/users"


@dataclass(frozen=True)
class TodoUser:
    """A user of the service, and the path of their to-dos."""

    todos: str
    headers: Headers


def boot(project: Path) -> None:
    """Migrate and serve a project with ENV=prod, use it, and stop it.

    Raises:
        StepError: If any step fails; the message contains the log.
    """
    log = project / ".data/serve.log"
    with database(project) as url, sign_in(project) as auth, background(project, auth.settings) as other_processes:
        settings = {"ENV": "prod", "DATABASE_URL": url, **auth.settings, **other_processes.settings}
        for variable, value in (*auth.invalid_settings, *other_processes.invalid_settings):
            _expect_startup_failure(auth, settings, variable, value)
        migrated = auth.app("db", "upgrade", settings=settings)
        _expect_json(migrated)
        created = auth.create_admin(settings)
        with serving(project, log, settings) as service, other_processes.running(settings):
            administrator, todo_user = _exercise(service, auth)
            other_processes.check_statistics(service, administrator)
            other_processes.check_welcome_email("ada@example.com")
            with ExitStack() as open_feeds:
                if (project / "app/modules/feed").is_dir():
                    open_feeds.enter_context(_open_feed(service, todo_user))
                stop(service)
        logged = log.read_text(encoding="utf-8") + other_processes.logs()
    _expect_json(logged)
    _expect_no_secrets(auth, migrated + created + logged)


def _expect_startup_failure(auth: SignIn, settings: Settings, variable: str, value: str | None) -> None:
    """Expect production to report the missing or unsafe variable, without its value."""
    package = variable.partition("_")[0]
    others = {name: text for name, text in settings.items() if not name.startswith(f"{package}_")}
    try:
        auth.app("serve", "--port", str(free_port()), settings=others | ({variable: value} if value else {}))
    except StepError as error:
        output = str(error)
        if error.code == EXIT_CONFIGURATION and variable in output and (value is None or value not in output):
            return
        raise
    raise StepError(f"The service starts with {variable}={value}")


def _exercise(service: Service, auth: SignIn) -> tuple[Headers, TodoUser]:
    """Create a user as administrator, read it, then register and use another user."""
    auth.check_anonymous(service)
    administrator = auth.log_in(service, ADMINISTRATOR)
    ada = {"email": "ada@example.com", "name": "Ada Lovelace"}
    user = service.request("POST", USERS, ada, administrator)
    assert user.status == 201, user
    path = f"{USERS}/{user.json()['id']}"
    assert service.request("GET", path, headers=administrator).body == user.body
    if not administrator:  # without authentication, every client has full access
        return administrator, TodoUser(f"{path}/todos", {})
    grace = auth.register(service, "grace@example.com")
    me = service.request("GET", "/api/v1/auth/me", headers=grace)
    assert (me.status, me.json()["email"]) == (200, "grace@example.com"), me
    assert service.request("GET", path, headers=grace).status == 403, "accounts are for administrators"
    return administrator, TodoUser("/api/v1/todos", grace)


@contextmanager
def _open_feed(service: Service, todo_user: TodoUser) -> Generator[None]:
    """Keep the live feed open: an endless response must not delay the shutdown."""
    connection = service.connection(timeout=START_SECONDS)
    connection.request("GET", f"{todo_user.todos}/feed", headers=dict(todo_user.headers))
    feed = connection.getresponse()
    assert feed.status == 200
    assert service.request("POST", todo_user.todos, {"title": "Buy milk"}, todo_user.headers).status == 201
    assert any(line.strip() == b"event: created" for line in feed), "the feed ended without the change"
    yield
    feed.read()  # ends because the server closes it
    connection.close()


def _expect_json(log: str) -> None:
    """Expect one JSON object per line."""
    for line in filter(str.strip, log.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise StepError(f"not a JSON object: {line}\n\n{log}")


def _expect_no_secrets(auth: SignIn, logged: str) -> None:
    """Expect no passwords, tokens or keys in the logs."""
    shown = [line for line in logged.splitlines() if any(secret in line for secret in auth.secrets)]
    if shown:
        raise StepError("\n".join(["secrets are in the log:", *shown]))
