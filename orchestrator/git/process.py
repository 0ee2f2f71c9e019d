"""Starting git: the one place that runs it, always hermetic and never with a person to ask.

Nothing here makes it safe to read a work tree whose repository or content is not trusted: filters and
drivers named in a repository's configuration are only out of reach inside a `Shield`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import GitError

_SHOWN = 4000

#: Outranks every configuration file, and is passed on to the processes that git itself starts.
_SETTINGS = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.attributesFile", os.devnull),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.sshCommand", "false"),
    ("core.askPass", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("diff.ignoreSubmodules", "dirty"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("worktree.useRelativePaths", "false"),
    ("core.quotePath", "false"),
    ("advice.graftFileDeprecated", "false"),
)


#: Descriptors that every git started from this thread or task keeps open, such as that of a run's lock.
_HELD: ContextVar[tuple[int, ...]] = ContextVar("held", default=())


@dataclass(frozen=True, slots=True)
class GitOutput:
    """What a git command wrote, and how it ended."""

    stdout: bytes
    stderr: bytes
    exit_code: int


def hold_in_children(*descriptors: int) -> None:
    """Let every git that this thread starts from now on keep the descriptors open until it ends."""
    _HELD.set(descriptors)


def run_git(
    argv: Sequence[str],
    *,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    common_dir: Path | None = None,
    cwd: Path | None = None,
    input: bytes | None = None,  # noqa: A002 (the name that subprocess uses)
    env: Mapping[str, str] | None = None,
    check: bool = True,
    pass_fds: Sequence[int] = (),
    user_config: bool = False,
    timeout_s: float | None = None,
) -> GitOutput:
    """Run `git argv` to its end; raise GitError when it fails and `check` is set. Blocks.

    `user_config` lets the user's own and the system's configuration count, for questions about them.
    `timeout_s` is for git over files that an agent wrote, which can make it wait for ever.
    """
    environment = _environment(user_config) | dict(env or {})
    places = {"GIT_DIR": git_dir, "GIT_WORK_TREE": work_tree, "GIT_COMMON_DIR": common_dir}
    environment |= {name: str(place) for name, place in places.items() if place is not None}
    try:
        process = subprocess.Popen(
            ["git", *argv],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(*pass_fds, *_HELD.get()),
            start_new_session=True,  # a terminal's Ctrl-C must not end git half-way
        )
    except (OSError, ValueError) as err:
        raise GitError(f"could not start git: {err}", hint="is git installed and on PATH?") from err
    output = _finish(process, argv, input, timeout_s)
    if check and output.exit_code != 0:
        raise GitError(describe_failure(argv, output))
    return output


def _finish(
    process: subprocess.Popen[bytes], argv: Sequence[str], data: bytes | None, timeout_s: float | None
) -> GitOutput:
    with process:
        try:
            stdout, stderr = process.communicate(data, timeout=timeout_s)
        except BaseException as err:
            os.killpg(process.pid, signal.SIGKILL)  # also what git started: it holds the pipes
            if isinstance(err, subprocess.TimeoutExpired):
                raise GitError(f"`{' '.join(['git', *argv])}` did not end within {timeout_s:g} s") from err
            raise
    return GitOutput(stdout, stderr, process.returncode)


def describe_failure(argv: Sequence[str], output: GitOutput) -> str:
    """Say everything about a failed git command that its reader needs."""
    command = " ".join(["git", *argv])
    return (
        f"`{command}` failed with exit code {output.exit_code}\n"
        f"stdout: {_shown(output.stdout)}\nstderr: {_shown(output.stderr)}"
    )


def _shown(data: bytes) -> str:
    text = data[-_SHOWN:].decode("utf-8", "replace").strip()
    return text or "(none)"


def _environment(user_config: bool) -> dict[str, str]:
    """The process's own environment without its git variables (but for where the user's settings are)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # outranks what a repository says about protocols
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
    }
    for number, (key, value) in enumerate(_SETTINGS):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    if user_config:
        for name in ("GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
            kept.pop(name)
            if name in os.environ:
                kept[name] = os.environ[name]
    return kept
