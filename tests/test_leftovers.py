"""Disabled features leave no traces in a project: no identifier, setting, table or mention."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.matrix.variants import Variant, variants
from tests.projects import files
from tests.questionnaire import resolve
from tests.rendering import Answers

IDENTIFIERS = {
    "auth": r"\bauth\b|\bauth[_-]|oauth2_|principal|app[./]security|current_?user|user_role|\baudit|\blimits\b>|\bjwt|pyjwt",
    "jwt": r"\bjwt_[a-z]|app[./]jwt|modules[./](password|token)|refresh_token|mailed_token"
    r"|password_hash|(forgot|reset|change)-password|argon|pwdlib|zxcvbn|multipart",
    "oidc": r"oidc|app[./]oidc|modules[./]identity|authlib|login_attempt|session_cookie|csrf|/callback/",
    "mail": r"smtp|app[./]mail",
    "outbox": r"app[./](outbox|processes)|outbox_|dead.?letter",
    "workers": r"app[./]jobs|dramatiq|\bredis(?!tribut)|valkey|cronsim|schedule_state|\benqueue",
    "events": r"app[./](messaging|consumers)|tools[./]contracts|kafka|confluent|cloud_?event|asyncapi|processed_event|daily_count"
    r"|modules[./]statistics|traceparent",
    "services": r"\btopology\b|traefik|mailpit|ACCOUNT_MODULES|run[, ]+(auth|api|mailer)\b|process=\"mailer\"",
    "reminder": r"modules[./]reminder|\breminder",
}
"""Identifiers of each feature in the code."""

WORDS = {
    "auth": r"login|\bsign(ed|s|ing)?[ -]in\b|administrator|rate.?limit|bearerformat",
    "jwt": r"password(?!=false)|refresh.token|\bregistration\b",
    "oidc": r"open ?id\b|identity.provider",
    "events": r"\btopics?\b|\bconsumers?\b|\bpartitions\b|\binbox\b",
}
"""Words for each feature. The documentation of a project with authentication may mention the other method."""

# Exceptions by file, with the reason.
ALLOWED = {
    # The recorded answers.
    ".copier-answers.yml": ["auth: none", "kafka: false", "topology: monolith"],
    # All projects have the same list of layers; those in parentheses are optional.
    "pyproject.toml": ["(mail) | (jwt) | (oidc)", "(jobs)", "(outbox)", "| (consumers) |", "(processes)"],
    # The core supports authentication in general, because projects may add their own.
    "app/api.py": ["requires a sign-in declares it here"],
    "app/core/middlewares.py": ["X-CSRF-Token", '"traceparent"'],
    "tests/core/test_middlewares.py": ['"traceparent"'],
    "app/db/idempotency.py": ['scope.get("principal", "")'],
    # A command of the GitHub CLI.
    ".github/workflows/template.yml": ["gh auth setup-git"],
    # Rejected alternatives.
    "docs/adr/0005-idempotency-keys-in-the-transaction.md": ["Keys in Redis"],
    # Statements that the feature is missing.
    "docs/add-a-module.md": ["without sign-in, the client names the customer"],
    "docs/deployment.md": [
        *("There is no rate limit and no sign-in", "a placeholder password"),
        *("`KAFKA_PASSWORD`", "where Kafka asks for a password"),
    ],
    "docs/getting-started.md": ["This application has no sign-in"],
    # Mentions of the alternative.
    "docs/accounts.md": ["answer `auth=oidc` to the template"],
    "app/modules/identity/commands.py": ["No password is set"],
    "tests/oidc/test_identity_provider.py": ['{"grant_type": "password"}'],
    # One file hides the authentication method from the other tests, so that those are the same in all projects.
    "tests/sign_in_none.py": ["no sign-in"],
    "tests/users.py": ["cover the actual sign-in"],
    "tests/test_contract.py": ["administrator", "/auth/"],
    "tests/security/test_protection.py": ["auth/forgot-password", "auth/reset-password", "/api/v1/auth/"],
    # Examples of secrets that must not be logged.
    "app/core/exception_handlers.py": ["it may be a password"],
    "tests/core/test_logging.py": ["password"],
    # Passwords of servers.
    "app/jobs/settings.py": ["may contain a password"],
    "tests/jobs/test_broker.py": ["reported_without_its_password"],
    "tests/jobs/test_task.py": ["password"],
    # The optional destinations of the relay.
    "tests/test_processes.py": [
        "REDIS_URL",
        "redis://127.0.0.1",
        "KAFKA_BOOTSTRAP_SERVERS",
        "Kafka's client waits",
        "app.messaging.topics.TIMEOUT_SECONDS",
        "app.messaging",
    ],
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


ENABLING_ANSWERS: dict[str, Answers] = {
    "jwt": {"auth": "jwt"},
    "oidc": {"auth": "oidc"},
    "events": {"kafka": True},
    "services": {"database": "postgres", "workers": True, "kafka": True, "topology": "services"},
}
"""Answers that enable a feature, if `workers` does not."""

SERVER_CREDENTIALS = (
    *("app/mail/", "tests/mail/", "docs/mail.md"),
    *("app/messaging/", "tests/messaging/", "docs/contracts/", "docs/runbook-events.md"),
)
"""Files where words of `auth` and `jwt` refer to the credentials of mail servers and Kafka."""


def matching_lines(text: str, allowed: list[str], pattern: str) -> Iterator[str]:
    """Yield the lines that match a pattern, after removing the exceptions."""
    for line in text.splitlines():
        rest = line
        for phrase in allowed:
            rest = rest.replace(phrase, "")
        if re.search(pattern, rest, re.IGNORECASE):
            yield line.strip()


def disabled_features(variant: Variant) -> list[str]:
    """Return the features that a variant does not have."""
    return [feature for feature in IDENTIFIERS if not resolve(variant.answers)["features"][feature]["enabled"]]


def files_to_search(variant: Variant, project: Path) -> Iterator[Path]:
    """Yield all files except the decision records of enabled features, which mention rejected alternatives."""
    own = {path for feature in resolve(variant.answers)["features"].values() for path in feature["files"]}
    for file in files(project):
        is_own_decision = file.match("docs/adr/*") and f"/{file.as_posix()}" in own
        if not is_own_decision:
            yield file


def forbidden_pattern(features: list[str], file: Path) -> str:
    """Return a pattern for everything that must not occur in a file without the disabled features."""
    may_compare = "auth" not in features and file.suffix == ".md"
    if file.as_posix().startswith(SERVER_CREDENTIALS):
        features = [feature for feature in features if feature not in {"auth", "jwt"}]
    return "|".join(
        pattern[feature]
        for pattern in ([IDENTIFIERS] if may_compare else [IDENTIFIERS, WORDS])
        for feature in features
        if feature in pattern
    )


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_disabled_features_leave_no_traces(variant: Variant, render: Callable[[Answers], Path]) -> None:
    project, features = render(variant.answers), disabled_features(variant)
    leftovers = [
        f"{file}: {line}"
        for file in files_to_search(variant, project)
        if (pattern := forbidden_pattern(features, file))
        for line in matching_lines(f"{file}\n{text(project / file)}", ALLOWED.get(file.as_posix(), []), pattern)
    ]
    assert not leftovers, "\n".join(leftovers)


def test_exceptions_are_necessary(render: Callable[[Answers], Path]) -> None:
    projects = [render(variant.answers) for variant in variants()]
    for file, phrases in ALLOWED.items():
        texts = [text(project / file) for project in projects if (project / file).is_file()]
        assert not [phrase for phrase in phrases if not any(phrase in body for body in texts)], file


@pytest.mark.parametrize("feature", IDENTIFIERS)
def test_patterns_match_enabled_features(feature: str, render: Callable[[Answers], Path]) -> None:
    """Otherwise the search would prove nothing."""
    project = render(ENABLING_ANSWERS.get(feature, {"workers": True}))
    assert (
        sum(1 for file in files(project) for _ in matching_lines(text(project / file), [], IDENTIFIERS[feature])) > 30
    )


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
