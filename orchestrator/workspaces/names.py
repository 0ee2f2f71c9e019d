"""What the workspaces of a run, their shields and their branches are called."""

from __future__ import annotations

#: Beside the workspaces, and no worker's name: ids start with a letter or a digit.
SHIELDS = ".shields"
START_COMMIT = "start-commit"
#: The last part of the branch that workers' branches are landed on.
INTEGRATION = "integration"
#: Beside the workspaces: checkouts of gates.
LANDING_PLACE, BASE_PLACE = ".landing", ".base-gate"


def workspace_name(worker_id: str, attempt: int) -> str:
    """The folder of one attempt, and the last part of its branch."""
    return worker_id if attempt == 1 else f"{worker_id}@{attempt}"


def branch_name(run_id: str, name: str) -> str:
    """The branch of one attempt. That of the landing has its name for itself, also where case is lost."""
    return f"orchestrator/{run_id}/{name}" + ("@1" if name.lower() == INTEGRATION else "")


def attempt_of(name: str) -> tuple[str, int]:
    """The worker and the attempt that a workspace of this name is of."""
    worker_id, _, number = name.partition("@")
    return worker_id, int(number) if number.isdigit() else 1
