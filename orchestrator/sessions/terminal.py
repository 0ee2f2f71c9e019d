"""A pseudo-terminal for one process: its size, and the interrupt a person would type."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import sys
import termios
from contextlib import suppress

#: Rows and columns of every worker's terminal; the screen model's page is the same size.
WINDOW = (40, 120)

_TIOCSIG = 0x40045436  # Linux; not in the termios module


def open_terminal() -> tuple[int, int, str]:
    """Return the master, the slave and the slave's name. Without a holder of the slave the master ends."""
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *WINDOW, 0, 0))
    return master, slave, os.ttyname(slave)


def interrupt_foreground(master: int) -> None:
    """Send SIGINT to the terminal's foreground group, also when the program reads its keys raw."""
    if sys.platform == "linux":
        with suppress(OSError):  # nobody is there any more
            fcntl.ioctl(master, _TIOCSIG, signal.SIGINT)
    else:
        with suppress(OSError):
            os.write(master, b"\x03")
