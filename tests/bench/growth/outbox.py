# ty: ignore[import-not-found]
"""Measure how much relays read as the outbox grows. Runs in a project with Kafka and workers."""

import asyncio
import sys
from collections.abc import Iterator

from app.jobs.relay import JOBS_PER_POLL as JOBS
from app.jobs.relay import MAY_BE_LOST_AFTER
from app.jobs.repository import JobRepository
from app.messaging.relay import EVENTS_PER_POLL as EVENTS
from app.messaging.relay import EventRepository
from explain_queries import Case, measure_growth

# Half of the rows are events with a thousand keys, the other half are jobs.
FILL = """
INSERT INTO outbox_message (id, destination, queue, name, key, payload, request_id, due_at, attempts, last_error)
SELECT gen_random_uuid(), (ARRAY['kafka', 'workers'])[1 + n %% 2], 'default', 'something',
    CASE WHEN n %% 2 = 0 THEN 'key' || n %% 2000 END, '{}', '', now(), 0, ''
FROM generate_series(%(first)s, %(last)s) n;
"""


def cases(_: int) -> Iterator[tuple[str, Case]]:
    """Yield the queries of the relays."""
    yield "events to send", lambda session: EventRepository(session).pending_events(EVENTS)
    yield "whether a job is due", lambda session: JobRepository(session).has_due_jobs()
    yield "whether jobs may be lost", lambda session: JobRepository(session).may_need_requeue(MAY_BE_LOST_AFTER)
    yield "jobs to send", lambda session: JobRepository(session).lock_due_jobs(JOBS)


if __name__ == "__main__":
    asyncio.run(measure_growth(FILL, [int(size) for size in sys.argv[1:]], cases))
