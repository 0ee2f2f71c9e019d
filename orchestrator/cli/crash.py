"""Keeps a report of an unexpected fault that a person can paste into an issue: no prompts, no secrets."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orchestrator
from orchestrator.secrets import user_mask

_SECRET = re.compile(
    r"(?i)(\b[\w-]*(?:key|token|secret|passw(?:or)?d|credential|authorization)[\w-]*[\"']?\s*[=:]\s*)(?:bearer\s+|basic\s+)?\S+"
)
_PROMPT_OPTIONS = ("-p", "--prompt")


def report_crash(err: BaseException, argv: Sequence[str]) -> str:
    """Write the report and return the hint that names it."""
    text = crash_text(err, argv)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{type(err).__name__}.txt"
    for folder in (_crash_folder(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"this is a fault of orchestrator; a report that you can paste is in {folder / name}"
    return f"this is a fault of orchestrator; no report could be written, so here it is:\n\n{text}"


def crash_text(err: BaseException, argv: Sequence[str]) -> str:
    """Versions, arguments and traceback, with what looks like a secret and every prompt taken out."""
    trace = "".join(traceback.format_exception(err))
    text = (
        f"orchestrator {orchestrator.__version__}\n"
        f"python {platform.python_version()} ({sys.executable})\n"
        f"system {platform.platform()}\n"
        f"arguments {' '.join(_without_prompts(argv))}\n\n{trace}"
    )
    return _SECRET.sub(r"\1***", user_mask().text(text))


def _without_prompts(argv: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for argument in argv:
        if kept and kept[-1] in _PROMPT_OPTIONS:
            kept.append("***")
        elif argument.startswith("--prompt="):
            kept.append("--prompt=***")
        elif argument.startswith("-p") and not argument.startswith("--") and argument != "-p":
            kept.append("-p***")
        else:
            kept.append(argument)
    return kept


def _crash_folder() -> Path:
    try:
        from orchestrator.config import home
    except ImportError:
        return Path(tempfile.gettempdir())  # a broken installation may be the very fault
    return home() / "crashes"
