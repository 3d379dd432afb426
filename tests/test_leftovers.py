"""What a project does not have has left no word in it: no name, no setting, no table, no hint."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.matrix.variants import Variant, variants
from tests.projects import files
from tests.questionnaire import resolve
from tests.rendering import Answers

NAMES = {
    "auth": r"\bauth\b|\bauth[_-]|oauth2_|principal|app[./]security|current_?user|user_role|\baudit|\blimits\b>|\bjwt|pyjwt",
    "jwt": r"\bjwt_[a-z]|app[./]jwt|modules[./](password|token)|refresh_token|mailed_token"
    r"|password_hash|(forgot|reset|change)-password|argon|pwdlib|zxcvbn|multipart",
    "oidc": r"oidc|app[./]oidc|modules[./]identity|authlib|login_attempt|session_cookie|csrf|/callback/",
    "mail": r"smtp|app[./]mail",
    "outbox": r"app[./](outbox|relay)|outbox_|dead.?letter",
    "workers": r"app[./](workers|tasks)|dramatiq|\bredis(?!tribut)|valkey|cronsim|schedule_tick|\benqueue",
    "events": r"app[./](events|consumers)|kafka|confluent|faststream|cloud_?event|asyncapi|processed_event|daily_count"
    r"|modules[./]statistics|traceparent",
    "services": r"app[./](services|topology)|\btopology\b|traefik|mailpit",
    "reminder": r"modules[./]reminder|\breminder",
}
"""How the code calls what belongs to it."""

ENGLISH = {
    "auth": r"login|\bsign(ed|s|ing)?[ -]in\b|administrator|rate.?limit|bearerformat",
    "jwt": r"password(?!=false)|refresh.token|\bregistration\b",
    "oidc": r"open ?id\b|identity.provider",
    "events": r"\btopics?\b|\bconsumers?\b|\bpartitions\b|\binbox\b",
}
"""How a person speaks of it. In the guides of a project with a sign-in it may be compared with the other kind."""

# What may stand in which file all the same, and why.
ALLOWED = {
    # The answer itself.
    ".copier-answers.yml": ["auth: none", "kafka: false", "topology: monolith"],
    # One set of floors for every project; what is in brackets may be missing.
    "pyproject.toml": ["(mail) | (jwt) | (oidc)", "(workers)", "(outbox)", "| (consumers) |", "| (topology)"],
    # Kinds of errors, and what holds for whoever is signed in, belong to the core: a project may bring its own sign-in.
    "app/api.py": ["What needs a sign-in says so here"],
    "app/core/events.py": ["they write rows or enqueue"],
    "app/core/exceptions.py": ["Nobody is signed in", "Sign in first"],
    "app/core/middlewares.py": ["X-CSRF-Token"],
    "app/core/shutdown.py": ["so does the sign-in, if there is one"],
    "app/db/idempotency.py": ['scope.get("principal", "")  # A key belongs to whoever is signed in.'],
    "tests/core/test_shutdown.py": ["as_long_as_the_sign_in"],
    # How GitHub's own program signs in to git.
    ".github/workflows/template.yml": ["gh auth setup-git"],
    # What was decided against.
    "docs/adr/0005-idempotency-keys-in-the-transaction.md": ["Keys in Redis"],
    # To say that there is none.
    "app/modules/todo/dependencies.py": ["without sign-in, whoever asks names them"],
    "CONTRIBUTING.md": ["without sign-in, the client names the customer"],
    "docs/deployment.md": [
        *("There is no rate limit and no sign-in", "a placeholder password"),
        *("`KAFKA_PASSWORD`", "where Kafka asks for a password"),
    ],
    "docs/getting-started.md": ["This service has no sign-in"],
    # To name the alternative.
    "docs/accounts.md": ["answer `auth=oidc` to the template"],
    "app/modules/identity/commands.py": ["There is no password"],
    "tests/modules/identity/test_commands.py": ["needs_no_password"],
    "tests/oidc/test_identity_provider.py": ['{"grant_type": "password"}'],
    # Tests meet people through one file, which every project has; the others are then the same everywhere.
    "tests/people.py": ["How one really signs in", "without sign-in everybody may do everything", "def administrator"],
    "tests/test_contract.py": ["administrator", "/auth/"],
    "tests/modules/todo/test_routes.py": ["where a sign-in ends with the account"],
    "tests/security/test_protection.py": ["auth/forgot-password", "auth/reset-password", "/api/v1/auth/"],
    # Both kinds use them.
    "app/security/principal.py": ["if an identity provider's token was shown"],
    "app/security/secrets.py": ["refresh tokens, cookies, links in mails"],
    "app/security/audit.py": ["`password_reset`"],
    # What must not be shown may be anything.
    "app/core/exception_handlers.py": ["it may be a password"],
    "tests/core/test_logging.py": ["password"],
    "tests/modules/user/test_routes.py": ["a_bad_registration"],
    # The passwords of servers.
    "app/workers/settings.py": ["may hold a password"],
    "tests/workers/test_broker.py": ["told_without_its_password"],
    "tests/workers/test_task.py": ["password"],
    # What there is to relay to, if it is there.
    "tests/test_relay.py": [
        "REDIS_URL",
        "redis://localhost",
        "KAFKA_BOOTSTRAP_SERVERS",
        "app.events.topics.TIMEOUT_SECONDS",
        "app.events",
    ],
    "app/services/mailer.py": ['"reminders", '],
    ".env.example": [
        "The password that docker compose gives",
        "POSTGRES_PASSWORD",
        "SMTP_PASSWORD",
        "KAFKA_PASSWORD",
        "user:password@",
    ],
    "docker-compose.yml": ["POSTGRES_PASSWORD"],
    "app/db/postgres.py": ["password"],
    "tests/db/test_postgres.py": ["password"],
    "docs/postgres.md": ["password"],
}


HAVING: dict[str, Answers] = {
    "jwt": {"auth": "jwt"},
    "oidc": {"auth": "oidc"},
    "events": {"kafka": True},
    "services": {"database": "postgres", "workers": True, "kafka": True, "topology": "services"},
}
"""Answers with which a project has something that workers do not bring."""

SIGN_IN_TO_SERVERS = (
    *("app/mail/", "tests/mail/", "docs/mail.md"),
    *("app/events/", "tests/events/", "docs/contracts/", "docs/runbook-events.md"),
)
"""Where the words of `auth` and `jwt` mean something else: mail servers and Kafka want a name and a password, too."""


def found(text: str, allowed: list[str], words: str) -> Iterator[str]:
    """Yield the lines that speak of something, but for what is allowed."""
    for line in text.splitlines():
        rest = line
        for phrase in allowed:
            rest = rest.replace(phrase, "")
        if re.search(words, rest, re.IGNORECASE):
            yield line.strip()


def off(variant: Variant) -> list[str]:
    """Return what a variant does not have."""
    return [kind for kind in NAMES if not resolve(variant.answers)["features"][kind]["enabled"]]


def spoken_of(variant: Variant, project: Path) -> Iterator[Path]:
    """Yield the files to look at: all but the decision records of its own features, which name what was decided against."""
    own = {path for feature in resolve(variant.answers)["features"].values() for path in feature["files"]}
    for file in files(project):
        decides = file.match("docs/adr/*") and f"/{file.as_posix()}" in own
        if not decides:
            yield file


def forbidden(kinds: list[str], file: Path) -> str:
    """Return the words that must not be in a file, if a project does not have some kinds of things."""
    compares = "auth" not in kinds and file.suffix == ".md"
    if file.as_posix().startswith(SIGN_IN_TO_SERVERS):
        kinds = [kind for kind in kinds if kind not in {"auth", "jwt"}]
    return "|".join(
        words[kind] for words in ([NAMES] if compares else [NAMES, ENGLISH]) for kind in kinds if kind in words
    )


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_nothing_speaks_of_what_is_not_there(variant: Variant, render: Callable[[Answers], Path]) -> None:
    project, kinds = render(variant.answers), off(variant)
    left = [
        f"{file}: {line}"
        for file in spoken_of(variant, project)
        if (words := forbidden(kinds, file))
        for line in found(f"{file}\n{text(project / file)}", ALLOWED.get(file.as_posix(), []), words)
    ]
    assert not left, "\n".join(left)


def test_what_is_allowed_is_needed(render: Callable[[Answers], Path]) -> None:
    projects = [render(variant.answers) for variant in variants()]
    for file, phrases in ALLOWED.items():
        there = [text(project / file) for project in projects if (project / file).is_file()]
        assert not [phrase for phrase in phrases if not any(phrase in body for body in there)], file


@pytest.mark.parametrize("kind", NAMES)
def test_the_words_are_those_of_the_kind(kind: str, render: Callable[[Answers], Path]) -> None:
    """A project that has it is full of them."""
    project = render(HAVING.get(kind, {"workers": True}))
    assert sum(1 for file in files(project) for _ in found(text(project / file), [], NAMES[kind])) > 30


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
