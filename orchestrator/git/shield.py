"""A git folder of our own over another repository's objects, for every call that touches a work tree.

Which programs git starts for a file (filters, diff and merge drivers, fsmonitor) is up to configuration,
and an agent can write that of the repository at any time. A shield has its own configuration, of plain
settings only, its own HEAD and its own ignore rules, so there is no name to look up and nothing to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.git.process import GitOutput, run_git

#: Git waits for ever at a pipe that an agent named `.gitignore`.
WORK_TREE_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shield:
    """A git folder that holds no code to run; it reads and writes the objects at `objects`."""

    git_dir: Path
    objects: Path

    def run(
        self,
        argv: Sequence[str],
        *,
        work_tree: Path | None = None,
        index: Path | None = None,
        input: bytes | None = None,  # noqa: A002 (the name that subprocess uses)
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout_s: float | None = None,
    ) -> GitOutput:
        """Run `git argv` over the objects, a work tree and an index that may lie elsewhere.

        `timeout_s` counts where there is a work tree.
        """
        environment = {"GIT_OBJECT_DIRECTORY": str(self.objects), **(env or {})}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
            self._reach_shared_parts(index)
        return run_git(
            argv,
            git_dir=self.git_dir,
            work_tree=work_tree,
            cwd=work_tree,
            input=input,
            env=environment,
            check=check,
            timeout_s=None if work_tree is None else timeout_s or WORK_TREE_TIMEOUT_S,
        )

    def set_head(self, commit: str) -> None:
        """Let HEAD be `commit`, for what compares an index with it."""
        (self.git_dir / "HEAD").write_text(f"{commit}\n")

    def _reach_shared_parts(self, index: Path) -> None:
        """A split index keeps its larger part beside itself; git looks for it in the git folder."""
        for part in index.parent.glob("sharedindex.*"):
            link = self.git_dir / part.name
            if not link.is_symlink():
                link.symlink_to(part)


def make_shield(
    directory: Path,
    *,
    objects: Path,
    settings: Mapping[str, str],
    head: str,
    ignore: bytes,
    attributes: bytes,
) -> Shield:
    """Make a shield in `directory`, which has none; `settings` are git's, of plain values only."""
    for folder in ("objects", "refs", "info"):
        (directory / folder).mkdir(parents=True, mode=0o700)
    (directory / "config").write_text(_configuration(settings))
    (directory / "info" / "exclude").write_bytes(ignore)
    (directory / "info" / "attributes").write_bytes(attributes)
    shield = Shield(git_dir=directory, objects=objects)
    shield.set_head(head)
    return shield


def _configuration(settings: Mapping[str, str]) -> str:
    lines = []
    for key, value in settings.items():
        section, name = key.split(".")
        lines.append(f"[{section}]\n\t{name} = {value}\n")
    return "".join(lines)
