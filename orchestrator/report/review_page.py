"""The review packet as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.report.page import page_template
from orchestrator.report.review_markdown import (
    DENIALS_SHOWN,
    FILES_SHOWN,
    TEXT_CHARACTERS,
    gate_word,
    hint_text,
    lines_changed,
    other_of,
    standing,
)


def render_review_page(packet: Mapping[str, Any]) -> str:
    """Return the page. All that came from agents, tasks or the repository is escaped on its way in."""
    filters: dict[str, Callable[..., Any]] = {
        "lines_changed": lines_changed,
        "gate_word": gate_word,
        "standing": standing,
        "other_of": other_of,
        "head": _head,
        "hint_text": hint_text,
    }
    template = page_template("review.html.j2", filters)
    return template.render(packet=packet, files_shown=FILES_SHOWN, denials_shown=DENIALS_SHOWN)


def _head(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else text[:TEXT_CHARACTERS] + "…"
