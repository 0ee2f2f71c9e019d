"""Pull requests for what has landed, through the forge's own program `gh`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from orchestrator.errors import GitError, InputError
from orchestrator.git.process import run_git
from orchestrator.git.publishing import push_branch, remote_of
from orchestrator.git.repository import Repository
from orchestrator.landing.moving import branch_tip
from orchestrator.landing.plan import Candidate, LandingResult
from orchestrator.safe_text import final_text, safe_text

PullRequests = Literal["one", "each"]
_TIMEOUT_S = 300.0
_TITLE = 100


def require_forge(repo: Repository) -> tuple[str, str]:
    """Return the program and the remote. Raises InputError when one is missing."""
    program = shutil.which("gh")
    if program is None:
        raise InputError(
            "--pr needs the program `gh`, which is not on the PATH",
            hint="install it from https://cli.github.com and run `gh auth login`",
        )
    remote = remote_of(repo)
    if remote is None:
        raise InputError("--pr: the repository has no remote `origin`", hint="see `git remote add`")
    return program, remote


def require_base(repo: Repository, ref: str) -> str:
    """Return the branch that a pull request is for: the run's base, which must be one."""
    argv = ["rev-parse", "--abbrev-ref", "--end-of-options", ref]
    name = run_git(argv, git_dir=repo.git_dir, check=False).stdout.decode("utf-8", "replace").split("\n")[-2:]
    branch = name[0] if name else ""
    if not branch or branch == "HEAD" or branch_tip(repo.common_dir, branch) is None:
        raise InputError(
            f"--pr: the run's base {ref!r} is no branch, so nobody knows what to merge into",
            hint="check the branch out, or open the pull request yourself: `gh pr create`",
        )
    return branch


def open_pull_requests(
    repo: Repository,
    result: LandingResult,
    candidates: Sequence[Candidate],
    *,
    run_id: str,
    base: str,
    each: bool,
    forge: tuple[str, str],
) -> list[Mapping[str, Any]]:
    """Push and open them: one for the integration branch, or one for each worker that landed."""
    program, remote = forge
    landed = [candidate for candidate in candidates if candidate.worker_id in result.landed]
    wanted = [(_one_line(c.name), c.branch, [c]) for c in landed] if each else []
    if not each and landed:
        names = ", ".join(candidate.worker_id for candidate in landed)
        wanted = [(_one_line(f"Land {names}"), result.branch, landed)]
    opened: list[Mapping[str, Any]] = []
    for title, branch, inside in wanted:
        push_branch(repo, remote, branch)
        argv = [
            program,
            "pr",
            "create",
            "--base",
            base,
            "--head",
            branch,
            "--title",
            title,
            "--body-file",
            "-",
        ]
        opened.append({"branch": branch, "url": _run(argv, repo, _body(inside, result, run_id))})
    return opened


def _run(argv: Sequence[str], repo: Repository, body: str) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=repo.root,
            input=body.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise GitError(f"`gh pr create` could not be run: {err}") from err
    if done.returncode != 0:
        raise GitError(
            f"`gh pr create` failed with exit code {done.returncode}: {final_text(done.stderr, 500)}",
            hint="the branch is pushed; `gh auth status` says whether you are logged in",
        )
    lines = final_text(done.stdout, 2000).split()
    return next((word for word in reversed(lines) if word.startswith("https://")), "")


def _body(inside: Sequence[Candidate], result: LandingResult, run_id: str) -> str:
    lines = [f"Work of run `{run_id}`:", ""]
    lines += [f"- `{each.worker_id}` ({each.agent}): {_one_line(each.name)}" for each in inside]
    if result.held:
        lines += ["", "Set aside:", ""]
        lines += [f"- `{held.worker_id}`: {_one_line(held.reason, 500)}" for held in result.held.values()]
    return "\n".join([*lines, ""])


def _one_line(text: str, length: int = _TITLE) -> str:
    shown = " ".join(safe_text(text).split())
    return shown if len(shown) <= length else shown[: length - 1] + "…"
