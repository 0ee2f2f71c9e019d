"""The JSON Schema of a task file, for editors."""

from __future__ import annotations

from typing import Any

from orchestrator.config import OrchestratorConfig
from orchestrator.taskfile.keys import TaskKeys


def task_file_schema() -> dict[str, Any]:
    """Return the schema of a whole task file."""
    schema = OrchestratorConfig.model_json_schema()
    task = TaskKeys.model_json_schema()
    schema.setdefault("$defs", {}).update(task.pop("$defs", {}))
    schema["title"] = "orchestrator task file"
    schema["properties"]["version"] = {"const": 1}
    schema["properties"]["tasks"] = {"type": "array", "minItems": 1, "items": task}
    schema["required"] = ["version", "tasks"]
    return schema
