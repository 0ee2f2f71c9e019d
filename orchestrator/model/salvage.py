"""What was salvaged from a workspace before it was taken away, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass

#: All salvage is below it, as `<run>/<worker>@<attempt>`; a number follows when that is taken.
SALVAGE_REFS = "refs/orchestrator/salvage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """The state of one workspace, kept in the user's repository."""

    ref: str
    commit: str
    files: int  #: how many differ from the commit that the workspace was at
