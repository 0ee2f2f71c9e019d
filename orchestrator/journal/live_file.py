"""The signs of life of running workers, as the run last wrote them beside its journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIVE_FILE = "liveness.json"


def read_liveness(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return them by worker; nothing when there are none, or when they cannot be read."""
    try:
        document = json.loads((folder / LIVE_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
