"""The user's repository: finding it, refusing what cannot be worked on, and resolving the base."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import GitError, InputError, RepositoryError
from orchestrator.git.process import GitOutput, run_git
from orchestrator.git.settings import Settings, excludes_file, identity, plain_settings, user_settings
from orchestrator.git.shield import Shield, make_shield
from orchestrator.git.status import read_status

MINIMUM_GIT = (2, 39)  #: merges in memory need `merge-tree --stdin`


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that can be worked on, as it was when it was opened."""

    root: Path  #: top level of the user's work tree
    git_dir: Path
    common_dir: Path  #: the same as `git_dir`, except in a linked worktree
    head: str  #: full SHA
    is_shallow: bool
    settings: Mapping[str, str]  #: how files look on disk
    identity: str | None  #: the user's own `Name <address>`
    excludes_file: Path  #: the user's own ignore rules, for all repositories
    warnings: tuple[str, ...] = ()

    def shield(self, directory: Path, *, head: str, ignore: Sequence[str] = ()) -> Shield:
        """Make a shield over this repository's objects in `directory`; `ignore` are paths from the root."""
        rules = [_content(self.excludes_file), _content(self.common_dir / "info" / "exclude")]
        rules += [b"/" + _literal_rule(os.fsencode(name)) for name in ignore]
        shield = make_shield(
            directory,
            objects=self.common_dir / "objects",
            settings=self.settings,
            head=head,
            ignore=b"\n".join(rules) + b"\n",
            attributes=_content(self.common_dir / "info" / "attributes"),
        )
        if self.is_shallow:
            shutil.copyfile(self.common_dir / "shallow", directory / "shallow")
        return shield

    def scratch(self, directory: Path, *, head: str) -> Shield:
        """Make a shield in `directory` that reads this repository's objects and writes into its own."""
        shield = self.shield(directory, head=head)
        objects = directory / "objects"
        (objects / "info").mkdir()
        (objects / "info" / "alternates").write_bytes(os.fsencode(shield.objects) + b"\n")
        return replace(shield, objects=objects)


def open_repository(path: Path, *, warn: bool = True) -> Repository:
    """Open the repository that `path` lies in. Raises RepositoryError when it cannot be worked on.

    `warn` also looks for what a run would leave out, which takes a look at every file.
    """
    _require_git()
    if not path.is_dir():
        raise RepositoryError(f"{path} is not a folder", hint="give the path of a git repository")
    found = _discover(path)
    settings = user_settings(found.root)
    head, files = _committed(found.git_dir, ".gitmodules", ".gitattributes")
    if head is None:
        raise RepositoryError(
            f"{found.root} has no commit on its current branch",
            hint="make a first commit: `git add . && git commit -m 'First'`",
        )
    _require_branch_names(found)
    repo = Repository(
        root=found.root,
        git_dir=found.git_dir,
        common_dir=found.common_dir,
        head=head,
        is_shallow=found.is_shallow,
        settings=plain_settings(settings),
        identity=identity(settings),
        excludes_file=excludes_file(settings),
    )
    return _with_warnings(repo, settings, files) if warn else repo


def resolve_base(repo: Repository, ref: str) -> str:
    """Return the full SHA of the commit that `ref` names. Raises InputError when there is none."""
    if not ref or ref.startswith("-") or any(ord(char) < 32 for char in ref):
        raise InputError(f"base {ref!r} cannot name a commit", hint="give a branch, a tag or a commit")
    argv = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    output = run_git(argv, git_dir=repo.git_dir, check=False)
    if output.exit_code == 0:
        return output.stdout.decode("ascii").strip()
    raise InputError(f"base {ref!r} names no commit in {repo.root}", hint=_near_matches(repo, ref))


def _near_matches(repo: Repository, ref: str) -> str:
    argv = ["for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"]
    names = os.fsdecode(run_git(argv, git_dir=repo.git_dir).stdout).splitlines()
    if near := difflib.get_close_matches(ref, names, n=3, cutoff=0.5):
        return f"did you mean {' or '.join(f'`{name}`' for name in near)}?"
    if repo.is_shallow:
        return "the repository is shallow: `git fetch --unshallow` brings the rest of its history"
    return "see `git branch --all` and `git tag`"


def _require_git() -> None:
    try:
        words = run_git(["version"]).stdout.decode("utf-8", "replace").split()
    except GitError as err:
        raise RepositoryError(err.message, hint="install git 2.39 or newer") from err
    numbers = re.match(r"(\d+)\.(\d+)", words[2]) if len(words) > 2 else None
    if numbers is None or (int(numbers[1]), int(numbers[2])) < MINIMUM_GIT:
        raise RepositoryError(f"`{' '.join(words)}` is too old", hint="install git 2.39 or newer")


@dataclass(frozen=True, slots=True)
class _Place:
    root: Path
    git_dir: Path
    common_dir: Path
    is_shallow: bool


def _discover(path: Path) -> _Place:
    """Ask git, with the user's own configuration, since that says which folders are trusted."""
    questions = ["--is-bare-repository", "--is-inside-git-dir", "--is-shallow-repository"]
    places = ["--path-format=absolute", "--absolute-git-dir", "--git-common-dir", "--show-toplevel"]
    output = run_git(["rev-parse", *questions, *places], cwd=path, check=False, user_config=True)
    answers = os.fsdecode(output.stdout).splitlines()
    bare, inside, shallow = (answer == "true" for answer in [*answers, "", "", ""][:3])
    if inside or bare:
        raise _without_work_tree(path, bare=bare)
    if output.exit_code != 0:
        raise _refusal(path, output)
    if len(answers) != 6:
        raise RepositoryError(f"the path of the repository at {path} holds a line break", hint="rename it")
    git_dir, common_dir, root = (Path(answer) for answer in answers[3:])
    return _Place(root, git_dir, common_dir, shallow)


def _without_work_tree(path: Path, *, bare: bool) -> RepositoryError:
    if bare:
        hint = f"make a checkout of it: `git clone {path} FOLDER`, and run there"
        return RepositoryError(f"{path} is a bare repository, which has no checkout", hint=hint)
    return RepositoryError(f"{path} is inside a .git folder", hint="give the repository's top folder")


def _refusal(path: Path, output: GitOutput) -> RepositoryError:
    said = output.stderr.decode("utf-8", "replace").strip()
    if "dubious ownership" in said:
        hint = f"if you trust it: `git config --global --add safe.directory {path}`"
        return RepositoryError(f"{path} belongs to another user, so git refuses it", hint=hint)
    if "not a git repository (or any" in said:
        hint = f"run inside one, give one with --repo, or make one: `git init {path}`"
        return RepositoryError(f"{path} is not in a git repository", hint=hint)
    return RepositoryError(f"git cannot open the repository at {path}: {said}", hint="see `git status` there")


def _require_branch_names(place: _Place) -> None:
    """Workers' branches are `orchestrator/…`, which a branch named `orchestrator` rules out."""
    argv = ["show-ref", "--verify", "--quiet", "refs/heads/orchestrator"]
    if run_git(argv, git_dir=place.git_dir, check=False).exit_code == 0:
        raise RepositoryError(
            f"{place.root} has a branch named `orchestrator`, where the branches of runs would be",
            hint="rename it: `git branch -m orchestrator OTHER-NAME`",
        )


def _committed(git_dir: Path, *names: str) -> tuple[str | None, dict[str, bytes]]:
    """HEAD's commit, and the content of those of `names` that it holds."""
    questions = ["HEAD^{commit}", *(f"HEAD:{name}" for name in names)]
    # `--batch-command` answers `info` without the content, which a commit's need not be read for.
    lines = [f"info {questions[0]}", *(f"contents {question}" for question in questions[1:])]
    asked = ("\n".join(lines) + "\n").encode()
    rest = run_git(["cat-file", "--batch-command"], git_dir=git_dir, input=asked).stdout
    first, _, rest = rest.partition(b"\n")
    if not first.endswith(b"missing"):
        head = first.split()[0].decode("ascii")
        return head, _contents(names, rest)
    return None, {}


def _contents(names: Sequence[str], answers: bytes) -> dict[str, bytes]:
    found = {}
    for name in names:
        header, _, answers = answers.partition(b"\n")
        if header.endswith(b" missing"):
            continue
        size = int(header.rsplit(b" ", 1)[1])
        found[name], answers = answers[:size], answers[size + 1 :]
    return found


def _with_warnings(repo: Repository, settings: Settings, files: Mapping[str, bytes]) -> Repository:
    warnings = [_uncommitted(repo)]
    if ".gitmodules" in files:
        warnings.append("submodules are not checked out in workspaces; their folders stay empty")
    if b"filter=lfs" in files.get(".gitattributes", b""):
        warnings.append("files kept by Git LFS stay pointers in workspaces")
    filters = {key.split(".", 1)[1].rpartition(".")[0] for key in settings if key.startswith("filter.")}
    if named := sorted(filters - {"lfs"}):
        warnings.append(f"the filters {', '.join(named)} are not run on files in workspaces")
    if any(key.startswith("remote.") and key.endswith(".promisor") for key in settings):
        warnings.append("the clone is partial: objects that are not here yet are not fetched")
    return replace(repo, warnings=tuple(filter(None, warnings)))


def _uncommitted(repo: Repository) -> str:
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        shield = repo.shield(Path(folder) / "git", head=repo.head)
        try:
            entries = read_status(shield, repo.root, repo.git_dir / "index", untracked="normal")
        except GitError as err:
            return f"uncommitted changes, if any, are not part of the run (git cannot tell: {err.message})"
    if not entries:
        return ""
    count = "1 uncommitted change is" if len(entries) == 1 else f"{len(entries)} uncommitted changes are"
    return f"{count} not part of the run, which starts from a commit"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return b""


def _literal_rule(path: bytes) -> bytes:
    """Escape what has a meaning in an ignore rule."""
    return re.sub(rb"([\\*?\[\] ])", rb"\\\1", path)
