"""How hard a text is to guess."""

from collections.abc import Sequence
from typing import Any


def judge(text: str, words: Sequence[str] = ()) -> dict[str, Any]:
    """Return what zxcvbn finds.

    Its lists of known words take 12 MB and, when they are first read, a tenth of a second. So they are read when something
    is to be judged: a process in which people only sign in does without.

    Args:
        text: What somebody may guess. The time grows much faster than its length.
        words: What is easy to guess beside the lists.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - see above

    judged: dict[str, Any] = zxcvbn(text, user_inputs=words)
    return judged
