"""Where there is room, tests keep their temporary files in memory: many thousand small ones are written and deleted.

Nothing of them is left afterwards. To look at what a failed test leaves, choose where: `TMPDIR=/tmp just test`.
"""

import os
from pathlib import Path

import psutil

FOLDER = Path("/dev/shm")  # noqa: S108 - tempfile makes a folder of its own in it
ROOM = 8 * 2**30
"""Bytes that must be free, and as many for programs: a whole run has held up to 6.5 GB at a time."""


def has_room() -> bool:
    """Tell whether this machine has a folder in memory that is large enough, and from which programs may be run."""
    try:
        system = os.statvfs(FOLDER)
    except OSError:
        return False
    free = min(system.f_bavail * system.f_frsize, psutil.virtual_memory().available - ROOM)
    return free >= ROOM and not system.f_flag & os.ST_NOEXEC
