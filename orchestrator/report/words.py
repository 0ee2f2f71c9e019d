"""How figures and foreign text are written in reports for people."""

from __future__ import annotations

from datetime import datetime

from orchestrator.safe_text import safe_text


def duration(seconds: float) -> str:
    """Write seconds as a person would: `0.4s`, `18.0s`, `3m05s`, `2h07m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}h{minutes % 60:02d}m"


def stamp(text: str) -> str:
    """Write an instant in the reader's own time; what is none, as it stands."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return text


def size(count: float) -> str:
    """Write bytes in the unit that fits: `512 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def one_line(text: str) -> str:
    """Make foreign text safe to show, on one line."""
    return " ".join(safe_text(text).split())
