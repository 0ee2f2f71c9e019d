"""Which active content a person has approved: one small file for each hash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator import config
from orchestrator.state_file import write_state_file
from orchestrator.workspaces.active_content import ActiveContent, content_digest


def is_approved(found: Sequence[ActiveContent]) -> bool:
    """Whether exactly this was approved before, in whatever repository."""
    return not found or _file(found).is_file()


def approve(found: Sequence[ActiveContent], *, repo: Path) -> None:
    """Remember, for good, that a person approved of this. Removing the file takes it back."""
    file = _file(found)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    record = {
        "repo": str(repo),
        "approved_at": datetime.now(UTC).isoformat(),
        "names": [item.name for item in found],
    }
    write_state_file(file, json.dumps(record, indent=1).encode())


def _file(found: Sequence[ActiveContent]) -> Path:
    return config.home() / "approved-content" / f"{content_digest(found)}.json"
