"""Email reminders for due to-dos."""
