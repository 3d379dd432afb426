"""The outbox: what must happen after a commit is a row of the same transaction.

The row lives until the work is done, and goes in the transaction that does it. Whatever
dies in between, a relay finds the row and sends it again; what was rolled back was never
there.
"""

from app.outbox.models import OutboxEvent
from app.outbox.relay import Destination, Relay
from app.outbox.settings import OutboxSettings

__all__ = ["Destination", "OutboxEvent", "OutboxSettings", "Relay"]
