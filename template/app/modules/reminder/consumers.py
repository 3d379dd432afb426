"""Event consumers for reminders."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.delivery import send_deferred_email
from app.messaging.consumers import Consumer
from app.modules.reminder.events import TodoDue
from app.modules.reminder.mails import reminder

reminders = Consumer("reminders", process="mailer")


@reminders.on(TodoDue)
async def send_reminder(session: AsyncSession, event: TodoDue) -> None:
    """Send a reminder to the owner of a due to-do."""
    await send_deferred_email(
        session, f"{event.event_id}.{reminders.name}", reminder, todo_id=event.todo_id, due_at=event.due_at
    )
