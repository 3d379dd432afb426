"""The group of the `users` commands."""

from tests.command_line import run_command


def test_commands_are_listed_alphabetically() -> None:
    shown = run_command("users", "--help").output
    assert shown.index(" create-admin ") < shown.index(" remove-admin ")
