"""Every error the product raises on purpose, and the exit code each one means."""

from __future__ import annotations


class OrchestratorError(Exception):
    """Something went wrong in orchestrator."""

    exit_code = 1

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


class InputError(OrchestratorError, ValueError):
    """The input cannot be used; nothing was started."""

    exit_code = 2


class TaskFileError(InputError):
    """The task file is wrong; nothing was started.

    `faults` holds one line per fault, each as `file:line:column: where: what was expected`.
    """

    def __init__(self, faults: list[str], *, hint: str | None = None) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults), hint=hint)


class RepositoryError(InputError):
    """The repository cannot be worked on as it is; nothing was started."""


class RunNotFoundError(InputError):
    """There is no such run."""


class GitError(OrchestratorError):
    """A git command failed."""


class WorkspaceError(OrchestratorError):
    """A workspace could not be made or removed."""


class SpawnError(OrchestratorError):
    """A process could not be started."""


class JournalError(OrchestratorError):
    """The run's journal cannot be read or written."""


class AgentProtocolError(OrchestratorError):
    """An agent's program said what its protocol does not allow."""
