"""Committing what was left uncommitted in a work tree, without trusting anything in that work tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.history import commit_tree
from orchestrator.git.shield import Shield
from orchestrator.git.status import StatusEntry, read_status


def commit_leftovers(
    shield: Shield,
    work_tree: Path,
    index: Path,
    *,
    start: str,
    head: str,
    author: str,
    message: str,
    before_restaging: Callable[[], object] = lambda: None,
) -> str:
    """Commit on top of `head` every file, tracked or not, that differs and is not ignored; return the tip.

    A repository inside the work tree becomes plain files, since its own commits would not be kept; also
    when it was committed as a link since `start`, unless `.gitmodules` declares it.
    `before_restaging` is called when something staged, which is in no file any more, is about to be lost.
    """
    index, entries = usable_index(shield, work_tree, index, head)
    if any(entry.staged and entry.unstaged for entry in entries):
        before_restaging()
        shield.set_head(head)
    if entries:
        _stage(shield, work_tree, index, entries)
        head = _commit_index(shield, index, head, author, message)
    if head != start and (links := _undeclared_links(shield, work_tree, start, head)):
        _update_index(shield, work_tree, index, ["--force-remove"], links)
        add_files(
            shield,
            work_tree,
            index,
            [name for link in links for name in nested_files(shield, work_tree, link)],
        )
        head = _commit_index(shield, index, head, author, message)
    return head


def changed_paths(shield: Shield, old: str, new: str) -> tuple[str, ...]:
    """Paths that differ between two commits, sorted; bytes that are not UTF-8 survive as surrogates."""
    output = shield.run(["diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new])
    return tuple(sorted(os.fsdecode(name) for name in output.stdout.split(b"\0") if name))


def usable_index(
    shield: Shield, work_tree: Path, index: Path, head: str
) -> tuple[Path, tuple[StatusEntry, ...]]:
    """The status, from an index built anew when there is none or it is damaged."""
    shield.set_head(head)
    if index.is_file() and not index.is_symlink():
        try:
            return index, read_status(shield, work_tree, index)
        except GitError:
            pass  # damaged: a fresh one sees the same files
    index = shield.git_dir / "index"
    index.unlink(missing_ok=True)
    shield.run(["read-tree", head], index=index)
    return index, read_status(shield, work_tree, index)


def _stage(shield: Shield, work_tree: Path, index: Path, entries: Iterable[StatusEntry]) -> None:
    unstaged = [entry for entry in entries if entry.unstaged]
    gone = [entry.path for entry in unstaged if not entry.exists]
    if gone:
        _update_index(shield, work_tree, index, ["--force-remove"], gone)
    present: list[bytes] = []
    for entry in unstaged:
        if entry.is_nested_repository:
            present += nested_files(shield, work_tree, entry.path.rstrip(b"/"))
        elif entry.exists:
            present.append(entry.path)
    add_files(shield, work_tree, index, present)


def add_files(shield: Shield, work_tree: Path, index: Path, paths: Iterable[bytes]) -> None:
    """Stage these files, whether ignored or not; a folder with a repository of its own as its files."""
    if listed := list(paths):
        _update_index(shield, work_tree, index, ["--add", "--replace", "--remove"], listed)


def _update_index(
    shield: Shield, work_tree: Path, index: Path, options: list[str], paths: Iterable[bytes]
) -> None:
    """Stage by plumbing: `git add` would run git inside repositories that an agent made."""
    argv = ["update-index", *options, "-z", "--stdin"]
    shield.run(argv, work_tree=work_tree, index=index, input=b"".join(path + b"\0" for path in paths))


def nested_files(shield: Shield, work_tree: Path, folder: bytes) -> list[bytes]:
    """The files of a repository inside the work tree, as paths from the work tree's root."""
    argv = ["ls-files", "-z", "--others", "--exclude-standard"]
    place = work_tree / os.fsdecode(folder)
    output = shield.run(argv, work_tree=place, index=shield.git_dir / "no-index")
    found: list[bytes] = []
    for name in output.stdout.split(b"\0"):
        path = folder + b"/" + name
        if name.endswith(b"/"):
            found += nested_files(shield, work_tree, path.rstrip(b"/"))
        elif name:
            found.append(path)
    return found


def _commit_index(shield: Shield, index: Path, head: str, author: str, message: str) -> str:
    tree = _line(shield, ["write-tree"], index)
    if tree == _line(shield, ["rev-parse", f"{head}^{{tree}}"], index):
        return head
    return commit_tree(shield, tree, (head,), author=author, message=message)


def _undeclared_links(shield: Shield, work_tree: Path, start: str, head: str) -> list[bytes]:
    links = _new_links(shield, start, head)
    links = [link for link in links if (work_tree / os.fsdecode(link) / ".git").exists()]
    declared = _declared(shield, work_tree) if links else set()
    return [link for link in links if link not in declared]


def _new_links(shield: Shield, start: str, head: str) -> list[bytes]:
    """Links to repositories (mode 160000) in `head` that `start` does not have."""
    output = shield.run(["diff-tree", "-r", "-z", "--raw", "--no-renames", start, head]).stdout
    fields = output.split(b"\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return [path for change, path in pairs if change[8:14] == b"160000" and change[1:7] != b"160000"]


def _declared(shield: Shield, work_tree: Path) -> set[bytes]:
    modules = work_tree / ".gitmodules"
    if not modules.is_file():
        return set()
    argv = ["config", "-z", "--file", str(modules), "--no-includes", "--get-regexp", r"^submodule\..*\.path$"]
    output = shield.run(argv, check=False).stdout
    return {entry.partition(b"\n")[2] for entry in output.split(b"\0") if entry}


def _line(shield: Shield, argv: list[str], index: Path) -> str:
    return shield.run(argv, index=index).stdout.decode("ascii").strip()
