"""Password strength estimation."""

from collections.abc import Sequence
from typing import Any


def estimate_strength(text: str, words: Sequence[str] = ()) -> dict[str, Any]:
    """Estimate with zxcvbn how hard a text is to guess.

    Its word lists take 12 MB of memory and 0.1 seconds to load, so they are imported on first use. Processes that only
    verify passwords never load them.

    Args:
        text: The text. The time grows much faster than its length.
        words: Additional words that are easy to guess.

    Returns:
        The result of zxcvbn, with `score`, `guesses_log10` and `feedback`.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - see above

    judged: dict[str, Any] = zxcvbn(text, user_inputs=words)
    return judged
