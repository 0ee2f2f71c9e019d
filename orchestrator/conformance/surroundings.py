"""The environment of a check: a home of its own, no keys of the user's, and every model behind one server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

#: No secret: the scripted model takes any key.
DUMMY_KEY = "key-of-the-scripted-model"
#: Of the user's environment, what programs need to be found and to write text; nothing that names a service.
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "NO_COLOR", "TERM")

#: An error that stays must show within seconds; Claude Code tries ten times otherwise, for minutes.
_QUICK = {"CLAUDE_CODE_MAX_RETRIES": "2"}


def endpoints(url: str) -> dict[str, str]:
    """Variables that lead the programs of the known agents to the model server at `url`."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": DUMMY_KEY,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": DUMMY_KEY,
        "OPENAI_MODEL": "scripted-model",
        "GOOGLE_GEMINI_BASE_URL": url,
        "GEMINI_API_KEY": DUMMY_KEY,
    }


def clean_environment(url: str, folder: Path, source: Mapping[str, str]) -> dict[str, str]:
    """The whole environment: a fresh home and state in `folder`, the model server, and little of `source`."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: source[name] for name in _KEPT if name in source}
    state = {"HOME": str(home), "ORCHESTRATOR_HOME": str(folder / "state"), "GIT_CONFIG_NOSYSTEM": "1"}
    return {**kept, **state, **_QUICK, **endpoints(url)}


@contextmanager
def in_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Be a process with that environment and no other."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
