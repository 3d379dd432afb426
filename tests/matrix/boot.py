"""Starting a project the way production does, and asking whether it serves and stops as it should."""

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
class Person:
    """Somebody who uses the service."""

    todos: str
    headers: Headers


def boot(project: Path) -> None:
    """Migrate and serve a project with ENV=prod, use it, stop it.

    Raises:
        StepError: If any of it goes wrong; with the log.
    """
    log = project / ".data/serve.log"
    with database(project) as url, sign_in(project) as people, background(project, people.settings) as beside:
        settings = {"ENV": "prod", "DATABASE_URL": url, **people.settings, **beside.settings}
        for variable, value in (*people.refused, *beside.refused):
            _require_refusal(people, settings, variable, value)
        migrated = people.app("db", "upgrade", settings=settings)
        _require_json(migrated)
        appointed = people.appoint(settings)
        with serving(project, log, settings) as service, beside.running(settings):
            administrator, person = _use(service, people)
            beside.check_counted(service, administrator)
            beside.check_welcome("ada@example.com")
            with ExitStack() as open_answers:
                if (project / "app/modules/todo").is_dir():
                    open_answers.enter_context(_following(service, person))
                stop(service)
        written = log.read_text(encoding="utf-8") + beside.written()
    _require_json(written)
    _require_secrecy(people, migrated + appointed + written)


def _require_refusal(people: SignIn, settings: Settings, variable: str, value: str | None) -> None:
    """Expect production to say which variable is missing or unsafe, and no more about it."""
    package = variable.partition("_")[0]
    others = {name: text for name, text in settings.items() if not name.startswith(f"{package}_")}
    try:
        people.app("serve", "--port", str(free_port()), settings=others | ({variable: value} if value else {}))
    except StepError as refusal:
        said = str(refusal)
        if refusal.code == EXIT_CONFIGURATION and variable in said and (value is None or value not in said):
            return
        raise
    raise StepError(f"It starts and ends with {variable}={value}")


def _use(service: Service, people: SignIn) -> tuple[Headers, Person]:
    """Register a user as an administrator, read it back, then come as somebody else."""
    people.check_strangers(service)
    administrator = people.enter(service, ADMINISTRATOR)
    ada = {"email": "ada@example.com", "name": "Ada Lovelace"}
    user = service.request("POST", USERS, ada, administrator)
    assert user.status == 201, user
    path = f"{USERS}/{user.json()['id']}"
    assert service.request("GET", path, headers=administrator).body == user.body
    if not administrator:  # whoever reaches the service may do everything
        return administrator, Person(f"{path}/todos", {})
    grace = people.open(service, "grace@example.com")
    me = service.request("GET", "/api/v1/auth/me", headers=grace)
    assert (me.status, me.json()["email"]) == (200, "grace@example.com"), me
    assert service.request("GET", path, headers=grace).status == 403, "accounts are for administrators"
    return administrator, Person("/api/v1/todos", grace)


@contextmanager
def _following(service: Service, person: Person) -> Generator[None]:
    """Hold the live feed open: an answer without an end must not hold up the stop."""
    connection = service.connection(timeout=START_SECONDS)
    connection.request("GET", f"{person.todos}/feed", headers=dict(person.headers))
    feed = connection.getresponse()
    assert feed.status == 200
    assert service.request("POST", person.todos, {"title": "Buy milk"}, person.headers).status == 201
    assert any(line.strip() == b"event: created" for line in feed), "the feed ended without the change"
    yield
    feed.read()  # ends, because the server has ended it
    connection.close()


def _require_json(log: str) -> None:
    """Expect one JSON object a line, as production promises."""
    for line in filter(str.strip, log.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise StepError(f"not a JSON object: {line}\n\n{log}")


def _require_secrecy(people: SignIn, written: str) -> None:
    """Expect nothing in what was written that would let its readers in."""
    shown = [line for line in written.splitlines() if any(secret in line for secret in people.secrets)]
    if shown:
        raise StepError("\n".join(["secrets are in the log:", *shown]))
