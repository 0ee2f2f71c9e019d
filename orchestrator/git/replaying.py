"""Making a commit again on another parent, with its author and its message as they were."""

from __future__ import annotations

import time

from orchestrator.git.shield import Shield


def own_commits(shield: Shield, commit: str, *, known: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the commits that `commit` has beyond `known`, oldest first, each with its parents."""
    asked = "".join(f"{name}\n" for name in (commit, *(f"^{each}" for each in known))).encode("ascii")
    argv = ["rev-list", "--reverse", "--topo-order", "--parents", "--stdin"]
    lines = shield.run(argv, input=asked).stdout.decode("ascii").splitlines()
    return [(words[0], tuple(words[1:])) for words in map(str.split, lines)]


def commit_again(shield: Shield, original: str, tree: str, parent: str, *, committer: str) -> str:
    """Commit `tree` on `parent` in the words of `original`, and in its author's name."""
    raw = shield.run(["cat-file", "commit", original]).stdout
    head, _, message = raw.partition(b"\n\n")
    kept = [line for line in head.split(b"\n") if line.startswith((b"author ", b"encoding "))]
    author = [line for line in kept if line.startswith(b"author ")][:1]
    encoding = [line for line in kept if line.startswith(b"encoding ")][:1]
    who = f"committer {committer} {int(time.time())} +0000".encode("utf-8", "replace")
    lines = [f"tree {tree}".encode(), f"parent {parent}".encode(), *author, who, *encoding, b"", message]
    output = shield.run(["hash-object", "-t", "commit", "-w", "--stdin"], input=b"\n".join(lines))
    return output.stdout.decode("ascii").strip()
