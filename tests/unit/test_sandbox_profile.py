"""The sandbox's profile is a plain value; its command line is fixed, word for word."""

from pathlib import Path

from orchestrator.model.confinement import Confinement, GitFolders
from orchestrator.sandbox.bubblewrap import bubblewrap_argv
from orchestrator.sandbox.profile import Access, Mount, SandboxProfile, Surface, build_profile, git_mounts

HOME = Path("/home/me")
STATE = HOME / ".local/state/orchestrator"
PLACE = Confinement(
    workspace=STATE / "workspaces/run/task",
    tmp_dir=Path("/tmp/orch-7/run/ab"),
    prompt_file=STATE / "runs/run/attempts/task@1/prompt.md",
    git=GitFolders(
        common_dir=HOME / "src/.git",
        entry=HOME / "src/.git/worktrees/task",
        branch="orchestrator/run/task",
    ),
)
SURFACE = Surface(
    home=HOME,
    masked=tuple(Mount(path, Access.EMPTY) for path in (Path("/tmp"), Path("/run"), STATE, HOME)),
    readable=(Path("/usr/bin"), HOME / ".nvm", HOME, Path("/"), STATE.parent, Path("/run/current-system")),
    listed=(HOME / ".npmrc",),
    writable=(HOME / ".cache/uv",),
)


def profile(**changes: object) -> SandboxProfile:
    settings: dict[str, object] = {"private_home": PLACE.tmp_dir / ".home", "share_network": False}
    return build_profile(SURFACE, PLACE, **(settings | changes))  # type: ignore[arg-type]


GOLDEN = """\
/usr/bin/env --ignore-signal=HUP,INT,QUIT,TERM
/usr/bin/bwrap --die-with-parent
--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --unshare-net
--cap-drop ALL
--ro-bind / / --dev /dev --proc /proc
--bind /tmp/orch-7/run/ab/.home /home/me
--bind /home/me/.cache/uv /home/me/.cache/uv
--perms 0700 --tmpfs /home/me/.local/state/orchestrator
--ro-bind {state}/runs/run/attempts/task@1/prompt.md {state}/runs/run/attempts/task@1/prompt.md
--bind {state}/workspaces/run/task {state}/workspaces/run/task
--ro-bind /home/me/.npmrc /home/me/.npmrc
--ro-bind /home/me/.nvm /home/me/.nvm
--ro-bind {git} {git}
--bind {git}/logs/refs/heads/orchestrator/run {git}/logs/refs/heads/orchestrator/run
--bind {git}/objects {git}/objects
--ro-bind {git}/objects/info {git}/objects/info
--ro-bind {git}/objects/pack {git}/objects/pack
--bind {git}/refs/heads/orchestrator/run {git}/refs/heads/orchestrator/run
--bind {git}/worktrees/task {git}/worktrees/task
--ro-bind {git}/worktrees/task/commondir {git}/worktrees/task/commondir
--ro-bind /dev/null {git}/worktrees/task/config.worktree
--ro-bind {git}/worktrees/task/gitdir {git}/worktrees/task/gitdir
--perms 0700 --tmpfs /run
--ro-bind /run/current-system /run/current-system
--perms 0700 --tmpfs /tmp
--bind /tmp/orch-7/run/ab /tmp/orch-7/run/ab
--perms 0700 --tmpfs /tmp/orch-7/run/ab/.home
--chdir {state}/workspaces/run/task --
/usr/bin/env --default-signal=HUP,INT,QUIT,TERM
claude -p
"""


def test_the_command_line_is_as_it_was() -> None:
    argv = bubblewrap_argv(profile(), ["claude", "-p"], bwrap=Path("/usr/bin/bwrap"))
    assert argv == GOLDEN.format(state=STATE, git=HOME / "src/.git").split()


def test_what_is_settled_shows_in_the_command_line() -> None:
    made = profile(
        share_network=True,
        uid=1000,
        variables={"HTTPS_PROXY": "http://127.0.0.1:1"},
        launcher=["python3", "forward.py"],
        extra=[Mount(Path("/run/x.sock"), Access.READ, Path("/tmp/y.sock"))],
    )
    line = " ".join(bubblewrap_argv(made, ["a b"], bwrap=Path("/usr/bin/bwrap")))
    assert "--unshare-net" not in line
    assert "--uid 1000 --gid 1000 --cap-drop ALL" in line
    assert "--setenv HTTPS_PROXY http://127.0.0.1:1" in line
    assert "--ro-bind /tmp/y.sock /run/x.sock" in line
    assert line.endswith("--default-signal=HUP,INT,QUIT,TERM python3 forward.py a b")


def test_outer_mounts_come_before_inner_ones() -> None:
    paths = [mount.path for mount in profile().mounts]
    assert len(set(paths)) == len(paths)
    for number, path in enumerate(paths):
        assert not any(path != later and path.is_relative_to(later) for later in paths[number:])


def test_no_program_folder_opens_a_whole_hidden_place() -> None:
    readable = [mount.path for mount in profile().mounts if mount.access is Access.READ]
    assert HOME / ".nvm" in readable
    assert not {HOME, Path("/"), STATE.parent, STATE} & set(readable)


def test_of_the_repository_only_what_a_commit_needs_is_writable() -> None:
    assert PLACE.git is not None
    writable = {
        str(mount.path.relative_to(PLACE.git.common_dir))
        for mount in git_mounts(PLACE.git)
        if mount.access is Access.WRITE
    }
    assert writable == {
        "objects",
        "worktrees/task",
        "refs/heads/orchestrator/run",
        "logs/refs/heads/orchestrator/run",
    }


def test_in_the_users_own_checkout_hooks_and_configuration_stay() -> None:
    place = Confinement(
        workspace=HOME / "src",
        tmp_dir=PLACE.tmp_dir,
        prompt_file=PLACE.prompt_file,
        git=GitFolders(common_dir=HOME / "src/.git"),
    )
    made = build_profile(SURFACE, place, private_home=PLACE.tmp_dir / ".home", share_network=True)
    access = {str(mount.path): mount.access for mount in made.mounts}
    assert access["/home/me/src"] is access["/home/me/src/.git"] is Access.WRITE
    assert {access[f"/home/me/src/.git/{name}"] for name in ("config", "hooks", "info")} == {Access.READ}
