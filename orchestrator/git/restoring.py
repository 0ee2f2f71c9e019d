"""Making the files of a work tree those of a commit again."""

from __future__ import annotations

from pathlib import Path

from orchestrator.git.shield import Shield
from orchestrator.model.result import Restored

_SKIPPED = b"S "


def restore(shield: Shield, work_tree: Path, index: Path, commit: str) -> Restored:
    """Let every tracked file be as `commit` has it, also one that the index was told not to look at."""
    listed = shield.run(["ls-files", "-z", "-t"], index=index).stdout.split(b"\0")
    if skipped := [line.removeprefix(_SKIPPED) for line in listed if line.startswith(_SKIPPED)]:
        argv = ["update-index", "-z", "--no-skip-worktree", "--stdin"]
        names = b"".join(name + b"\0" for name in skipped)
        shield.run(argv, work_tree=work_tree, index=index, input=names)
    shield.run(["read-tree", "--reset", "-u", commit], work_tree=work_tree, index=index)
    others = shield.run(
        ["ls-files", "-z", "--others", "--directory"], work_tree=work_tree, index=index
    ).stdout
    tree = shield.run(["rev-parse", f"{commit}^{{tree}}"]).stdout.decode("ascii").strip()
    return Restored(tree=tree, is_pure=not others)
