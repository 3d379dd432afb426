"""The `topics` commands."""

from typing import Annotated, NoReturn

import typer

from app.core.config import ConfigurationError, load
from app.db.commands import command_context, exit_with_error
from app.messaging import consumers, contracts, inbox
from app.messaging.settings import KafkaConfig, KafkaSettings
from app.messaging.topics import create_topics, ensure_topics_exist, lag, missing_topics, underpartitioned
from app.outbox.commands import replay_checks
from app.outbox.poller import DestinationUnavailable

topics = typer.Typer(no_args_is_help=True, help="Manage Kafka topics.")
COMMANDS = {"topics": topics}


@topics.command("lag")
def show_lag() -> None:
    """Show the lag of each consumer by topic.

    If a lag does not fall, no process runs the consumer, or it is blocked; its log shows the reason.
    """
    with command_context():
        client = _client()
        _require_topics(client)
        try:
            rows = [(each.name, *behind) for each in consumers.all_consumers() for behind in lag(client, each).items()]
        except DestinationUnavailable as error:
            _fail(error)
    heading = ("consumer", "topic")
    first, second = (max(len(str(row[column])) for row in [*rows, heading]) for column in (0, 1))
    typer.echo(f"{'consumer':{first}}  {'topic':{second}}  behind")
    for name, topic, behind in rows:
        typer.echo(f"{name:{first}}  {topic:{second}}  {behind:6}")


@topics.command()
def create(
    replicas: Annotated[int, typer.Option(min=1, help="Number of servers that store each partition.")] = 3,
) -> None:
    """Create missing topics with the declared partitions and retention."""
    with command_context():
        client = _client()
        try:
            missing = missing_topics(client, [topic for topic in contracts.all_topics() if topic.owned])
            create_topics(client, missing, replicas)
        except DestinationUnavailable as error:
            _fail(error)
    for topic in missing:
        typer.echo(f"created: {topic.name}, {topic.partitions} partitions, retention {topic.retention.days} days")
    if not missing:
        typer.echo("all topics exist")


@topics.command()
def check() -> None:
    """Check that all topics exist with enough partitions."""
    with command_context():
        client = _client()
        _require_topics(client)
        if too_few := underpartitioned(client, contracts.all_topics()):
            mismatches = ", ".join(
                f"{topic.name} has {has} of {topic.partitions} partitions" for topic, has in too_few.items()
            )
            raise ConfigurationError(
                f"Too few partitions: {mismatches}.\n"
                "The number of partitions limits the number of concurrent consumers. Either lower it in the contract,\n"
                "or add partitions with Kafka's tools (kafka-topics.sh --alter --partitions) while no events are\n"
                "pending, because keys move to other partitions."
            )
    typer.echo("all topics exist")


def _client() -> KafkaConfig:
    settings = load(KafkaSettings)
    if settings.bootstrap_servers is None:
        raise ConfigurationError("This command needs a Kafka server. Set KAFKA_BOOTSTRAP_SERVERS.")
    return settings.client_config() | {"log_level": 0}  # commands report errors themselves


def _require_topics(client: KafkaConfig) -> None:
    try:
        ensure_topics_exist(client)
    except DestinationUnavailable as error:
        _fail(error)


def _explain_missing_consumer(destination: str, queue: str) -> str | None:
    """Explain why a dead letter cannot be replayed: only the consumer that failed can handle it."""
    if destination != inbox.TO_CONSUMERS or queue in {each.name for each in consumers.all_consumers()}:
        return None
    return f"No consumer has the name {queue}. Drop these dead letters, or restore the consumer."


replay_checks.append(_explain_missing_consumer)


def _fail(error: DestinationUnavailable) -> NoReturn:
    exit_with_error(f"{error}\nCheck KAFKA_BOOTSTRAP_SERVERS, and whether its servers are running.")
