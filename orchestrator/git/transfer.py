"""Bringing commits from one store of objects into another, by fetch, with every new object checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.history import resolve_commits
from orchestrator.git.locks import clear_locks_of_killed
from orchestrator.git.process import describe_failure, run_git
from orchestrator.git.shield import Shield

#: An agent can make its objects as slow to read as it likes.
FETCH_TIMEOUT_S = 600.0

_SETTINGS = {
    "fetch.fsckObjects": "true",
    "fetch.unpackLimit": "1",  # a pack appears whole and checked, or not at all
    "core.alternateRefsCommand": ":",  # all that matters here has a ref of its own
}
_OPTIONS = (
    "--quiet",
    "--force",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--no-show-forced-updates",
)
_PROTOCOL = {"GIT_ALLOW_PROTOCOL": "file"}


def take_in(hub: Path, view: Path, commits: Mapping[str, str], *, under: str) -> dict[str, str]:
    """Fetch `commits`, by name, from the repository `view` into the bare repository `hub`.

    They get refs below `under`. Returns those that are commits. Raises GitError when an object is damaged
    or of a kind that git itself would never make.
    """
    for name, commit in commits.items():
        (view / "refs" / "heads" / name).write_text(f"{commit}\n")
    run_git(
        [*_settings(), "fetch", *_OPTIONS, "--", str(view), f"+refs/heads/*:{under}/*"],
        git_dir=hub,
        env=_PROTOCOL,
        timeout_s=FETCH_TIMEOUT_S,
    )
    found = resolve_commits([f"{under}/{name}" for name in commits], git_dir=hub)
    return {name: commit for name, commit in zip(commits, found, strict=True) if commit is not None}


def hand_over(source: Path, shield: Shield, commit: str, *, known: str) -> None:
    """Copy `commit`, and what it needs beyond `known`, from the repository `source` to the shield."""
    (shield.git_dir / "refs" / "known").write_text(f"{known}\n")
    argv = ["-c", "core.alternateRefsCommand=:", "fetch", *_OPTIONS, "--", str(source), commit]
    shield.run(argv, env=_PROTOCOL)


def hand_over_own(scratch: Shield, shield: Shield, commit: str, *, known: str) -> None:
    """Copy what we made ourselves in `scratch`, and `commit` needs beyond `known`, to the shield.

    What `scratch` only borrows is in the repository already, and not copied once more. A pack appears
    whole, or not at all.
    """
    argv = ["pack-objects", "--quiet", "--revs", "--local", "--stdout", "--window=0", "--delta-base-offset"]
    pack = scratch.run(argv, input=f"{commit}\n^{known}\n".encode("ascii")).stdout
    shield.run(["index-pack", "--stdin"], input=pack)


def _settings() -> list[str]:
    return [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]


def forget(hub: Path, under: str, names: Iterable[str]) -> None:
    """Drop the refs that `take_in` made."""
    orders = "".join(f"delete {under}/{name}\n" for name in names)
    run_git(["update-ref", "--no-deref", "--stdin"], git_dir=hub, input=orders.encode())


_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_commit_id(text: str) -> bool:
    """Whether `text` is the full name of an object."""
    return _COMMIT.fullmatch(text) is not None


def list_refs(git_dir: Path) -> bytes:
    """The tags and branches of a repository in the format of `packed-refs`, branches as those of `origin`.

    Branches of runs are left out.
    """
    formats = "--format=%(objectname) %(refname)%(if)%(*objectname)%(then)%0a^%(*objectname)%(end)"
    output = run_git(["for-each-ref", formats, "refs/heads", "refs/tags"], git_dir=git_dir).stdout
    lines = [b"# pack-refs with: peeled fully-peeled sorted "]
    heads, tags = [], []
    for line in output.splitlines():
        if b" refs/heads/" in line:
            heads.append(line.replace(b" refs/heads/", b" refs/remotes/origin/", 1))
        else:
            tags.append(line)
    kept = [line for line in heads if b" refs/remotes/origin/orchestrator/" not in line]
    return b"\n".join([*lines, *kept, *tags, b""])


def create_branch(common_dir: Path, branch: str, commit: str) -> None:
    """Make a branch that must not exist yet."""
    ref, missing = f"refs/heads/{branch}", "0" * len(commit)
    argv = ["update-ref", "--no-deref", ref, commit, missing]
    output = run_git(argv, git_dir=common_dir, check=False)
    if clear_locks_of_killed(output, common_dir, branch):  # with the branch made, or not
        run_git(["update-ref", "--no-deref", "-d", ref, commit], git_dir=common_dir, check=False)
    if output.exit_code != 0:
        raise GitError(describe_failure(argv, output))
