"""Certificates: proof that a gate passed on a tree, kept so that the same tree is not gated twice.

One file each, named by a hash of what it is about, so that nobody has to lock anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator import config
from orchestrator.state_file import write_state_file


def certificate_id(repository: Path, tree: str, commands: Sequence[str], environment: str) -> str:
    """Name the gate: these commands, in this environment (a digest), on this tree of this repository."""
    about = json.dumps([str(repository), tree, list(commands), environment])
    return hashlib.sha256(about.encode("utf-8", "surrogateescape")).hexdigest()


def digest_of(values: Mapping[str, Any]) -> str:
    """Return one hash for plain values, whatever their order."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def store_certificate(name: str, facts: Mapping[str, Any]) -> None:
    """Write a certificate, whole and durable, or none. Raises OSError."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({**facts, "passed_at": datetime.now(UTC).isoformat()})
    write_state_file(folder / name, text.encode("ascii"))


def find_certificate(name: str) -> Mapping[str, Any] | None:
    """Return what a certificate says; None when there is none, or when it cannot be read."""
    try:
        found = json.loads((_folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _folder() -> Path:
    return config.home() / "certificates"
