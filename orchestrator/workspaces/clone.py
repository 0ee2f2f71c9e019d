"""The strategy `clone`: each attempt gets a repository of its own that only borrows objects."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import cached_property, partial
from pathlib import Path

from orchestrator.errors import GitError, WorkspaceError
from orchestrator.git.history import Settle
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.transfer import create_branch, list_refs
from orchestrator.state_file import write_state_file
from orchestrator.workspaces.checkout import WHOLE, remove_last
from orchestrator.workspaces.clone_folder import write_clone
from orchestrator.workspaces.copying import copy_into
from orchestrator.workspaces.hub import Base, ensure_base, ensure_hub, hub_lock, hub_of, write_record
from orchestrator.workspaces.names import SHIELDS, START_COMMIT, branch_name, workspace_name
from orchestrator.workspaces.overlay import mount
from orchestrator.workspaces.own_clone import CloneWorkspace
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.recorded import reopened
from orchestrator.workspaces.salvage import salvage_ignored_too
from orchestrator.workspaces.worktree import join_needs, make_room


class CloneWorkspaces:
    """Makes clones for one run, as overlays where the machine can have them."""

    def __init__(
        self,
        repo: Repository,
        *,
        run_id: str,
        base_commit: str,
        directory: Path,
        author: str,
        copy_files: tuple[str, ...],
        salvage_ignored: bool = False,
        pool: Executor,
        overlay: bool,
        settle: Settle | None = None,
    ) -> None:
        self._repo = repo
        self._hub = hub_of(repo)
        self._run_id = run_id
        self._base_commit = base_commit
        self._directory = directory.resolve()
        self._author = author
        self._copy_files = copy_files
        self._salvage_ignored = salvage_ignored
        self._pool = pool
        self._settle = settle
        self._overlay = overlay
        self._base: Base | None = None

    async def create(self, worker_id: str, attempt: int, needs: Sequence[str]) -> CloneWorkspace:
        """Make the workspace of one attempt; `needs` are the commits it builds on. Raises WorkspaceError."""
        call = partial(self._create, worker_id, attempt, tuple(needs))
        return await in_pool(self._pool, call, undo=lambda made: made.remove_now())

    async def reopen(self, worker_id: str, attempt: int) -> CloneWorkspace | None:
        """Return the workspace of an earlier attempt; None when it is not whole."""
        names = (self._repo, self._run_id, self._directory, workspace_name(worker_id, attempt))
        call = partial(reopened, *names, author=self._author, pool=self._pool)
        found = await in_pool(self._pool, call)
        return found if isinstance(found, CloneWorkspace) else None

    def _create(self, worker_id: str, attempt: int, needs: tuple[str, ...]) -> CloneWorkspace:
        name = workspace_name(worker_id, attempt)
        path = self._directory / name
        shielding = self._directory / SHIELDS / name
        if path.exists() or not make_room(shielding):
            raise WorkspaceError(f"{path} already exists", hint="see `orchestrator gc`")
        try:
            shield = self._repo.shield(shielding, head=self._base_commit, ignore=self._copy_files)
            if self._salvage_ignored:
                salvage_ignored_too(shielding, self._copy_files)
            commits = (self._base_commit, *needs)
            start = join_needs(shield, commits, author=self._author, worker_id=worker_id, settle=self._settle)
            return self._fill(self._begin(path, shield, start))
        except (GitError, OSError) as err:
            remove_last(shielding)
            raise WorkspaceError(f"no workspace for {worker_id}: {err}") from err
        except BaseException:
            remove_last(shielding)
            raise

    def _begin(self, path: Path, shield: Shield, start: str) -> CloneWorkspace:
        """Record what is about to be made: so the hub stays, and whoever clears up finds everything."""
        with hub_lock(self._hub):
            ensure_hub(self._hub, self._repo, self._base_commit)
            if self._overlay and not (self._base and self._base.directory.exists()):
                self._base = ensure_base(self._hub, self._repo, self._base_commit)
            write_record(shield.git_dir, self._hub, self._base)
        write_state_file(shield.git_dir / START_COMMIT, start.encode())
        branch = branch_name(self._run_id, path.name)
        create_branch(self._repo.common_dir, branch, start)
        return CloneWorkspace(
            path=path,
            branch=branch,
            start_commit=start,
            common_dir=self._repo.common_dir,
            hub=self._hub,
            base=self._base,
            shield=shield,
            author=self._author,
            pool=self._pool,
        )

    def _fill(self, made: CloneWorkspace) -> CloneWorkspace:
        try:
            self._check_out(made)
            self._write_git_folder(made)
            for name in self._copy_files:
                copy_into(self._repo.root, name, made.path)
            (made.shield.git_dir / WHOLE).touch()
        except BaseException:
            made.remove_now()
            raise
        return made

    def _check_out(self, made: CloneWorkspace) -> None:
        index = made.shield.git_dir / "index"
        if made.base and made.layers:
            mount(made.layers, made.path)
            if made.start_commit == self._base_commit:
                return
            shutil.copyfile(made.base.index, index)
        else:
            made.path.mkdir(parents=True)
        argv = ["read-tree", "-u", "--reset", made.start_commit]
        made.shield.run(argv, work_tree=made.path, index=index)

    def _write_git_folder(self, made: CloneWorkspace) -> None:
        ours = made.shield.git_dir
        names = ["info/exclude", "info/attributes", *(["shallow"] if self._repo.is_shallow else [])]
        files = {name: (ours / name).read_bytes() for name in names}
        write_clone(
            made.git_dir,
            branch=made.branch,
            commit=made.start_commit,
            objects=self._hub.objects,
            config=(ours / "config").read_text() + _identity(self._repo.identity),
            files={**files, "packed-refs": self._refs},
        )
        shutil.copyfile(made.known_index(), made.git_dir / "index")

    @cached_property
    def _refs(self) -> bytes:
        """Branches and tags as they were at the run's start, for `git describe` and comparisons."""
        return list_refs(self._repo.common_dir)


def _identity(identity: str | None) -> str:
    """The user's name and address as settings: those of their repository do not reach the clone."""
    if identity is None:
        return ""
    name, _, address = identity.removesuffix(">").rpartition(" <")
    return f"[user]\n\tname = {_quoted(name)}\n\temail = {_quoted(address)}\n"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
