"""What a transcript consists of: one JSON object a line, with `at`, `role`, `text` and what else is known."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Who or what an entry of a transcript is from."""

    PROMPT = "prompt"  #: what we told the agent
    AGENT = "agent"  #: what it said
    THOUGHT = "thought"
    TOOL = "tool"  #: a tool it called: `name`, and `text` as a person would describe it
    RESULT = "result"  #: what the tool gave back
    PERMISSION = "permission"  #: what it asked, and what it was answered: `verdict`, `rule`
    NOTICE = "notice"  #: what its program said about itself: retries, limits, errors
    SCREEN = "screen"  #: a terminal's page, where that is all there is
