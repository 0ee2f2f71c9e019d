"""Run many AI coding agents in parallel over one git repository, unattended and safely.

The public names load on first use, so that `import orchestrator` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's own, whose import the small processes of a run do without
if TYPE_CHECKING:
    from orchestrator.config import OrchestratorConfig as OrchestratorConfig
    from orchestrator.core.worker_manager import WorkerManager as WorkerManager
    from orchestrator.logs import StructuredLogger as StructuredLogger
    from orchestrator.model.result import Status as Status
    from orchestrator.model.result import TaskResult as TaskResult
    from orchestrator.model.task import Task as Task

__version__ = "0.1.0"

_HOMES = {
    "OrchestratorConfig": "orchestrator.config",
    "StructuredLogger": "orchestrator.logs",
    "WorkerManager": "orchestrator.core.worker_manager",
    "Task": "orchestrator.model.task",
    "TaskResult": "orchestrator.model.result",
    "Status": "orchestrator.model.result",
}
__all__ = ["OrchestratorConfig", "Status", "StructuredLogger", "Task", "TaskResult", "WorkerManager"]


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 (start-up)

    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    return found
