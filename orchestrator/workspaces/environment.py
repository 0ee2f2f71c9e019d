"""The environment of a worker's processes: named variables of the user's, and what we add."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.git.worktrees import remove_tree
from orchestrator.workspaces.port_blocks import PortBlock

#: What programs need to find themselves, their settings and their caches, to speak the user's language,
#: and to reach the network as the user does. Not here, on purpose: keys and tokens (name them in
#: `pass_env`), and doors to the user's session (SSH_AUTH_SOCK, DBUS_SESSION_BUS_ADDRESS, DISPLAY,
#: XDG_RUNTIME_DIR), through which an agent could act as the user far beyond its workspace.
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ"),
    *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("GIT_SSL_CAINFO", "VIRTUAL_ENV", "PYENV_ROOT", "NVM_DIR", "GOPATH", "CARGO_HOME", "RUSTUP_HOME"),
    *("JAVA_HOME",),
)


def worker_environment(
    source: Mapping[str, str],
    *,
    run_id: str,
    worker_id: str,
    attempt: int,
    prompt_file: Path,
    tmp_dir: Path,
    base_commit: str | None = None,
    ports: PortBlock | None = None,
    terminal: bool = False,
    git_author: str | None = None,
    pass_env: Sequence[str] = (),
    run_env: Mapping[str, str] | None = None,
    task_env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Build the whole environment of one attempt from `source`, the user's own.

    `git_author` is for a user without a git identity of their own, so that an agent's `git commit` works.
    """
    environment = {
        name: value
        for name, value in source.items()
        if name in PASSED or name.startswith("LC_") or name in pass_env
    }
    environment.setdefault("PATH", os.defpath)
    if not any(name == "LANG" or name.startswith("LC_") for name in environment):
        environment["LANG"] = "C.UTF-8"
    environment |= {"TERM": "xterm-256color" if terminal else "dumb", "GIT_TERMINAL_PROMPT": "0"}
    environment |= dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(tmp_dir))
    if git_author is not None:
        environment |= _identity(git_author)
    environment |= {**(run_env or {}), **(task_env or {})}
    environment |= {
        "ORCHESTRATOR_RUN_ID": run_id,
        "ORCHESTRATOR_WORKER_ID": worker_id,
        "ORCHESTRATOR_ATTEMPT": str(attempt),
        "ORCHESTRATOR_PROMPT_FILE": str(prompt_file),
    }
    if base_commit is not None:
        environment["ORCHESTRATOR_BASE_COMMIT"] = base_commit
    if ports is not None:
        environment["ORCHESTRATOR_PORT_BASE"] = str(ports.base)
        environment["ORCHESTRATOR_PORT_COUNT"] = str(ports.count)
    return environment


def make_run_tmp(run_id: str) -> Path:
    """Make the folder for the TMPDIRs of a run, for this user only.

    Its path is short, since that of a socket in a TMPDIR must fit in 108 bytes (104 on macOS).
    """
    root = _tmp_root()
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        found = root.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise WorkspaceError(
                f"{root} must be a folder of yours that nobody else can enter",
                hint="remove it, or set TMPDIR to a folder of your own",
            )
        (root / run_id).mkdir(mode=0o700, exist_ok=True)
    except OSError as err:
        raise WorkspaceError(f"cannot make the folder for temporary files {root / run_id}: {err}") from err
    return root / run_id


def make_private_tmp(run_tmp: Path, worker_id: str, attempt: int) -> Path:
    """Make the TMPDIR of one attempt in its run's folder."""
    folder = run_tmp / hashlib.sha256(f"{worker_id}\0{attempt}".encode()).hexdigest()[:8]
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as err:
        raise WorkspaceError(f"cannot make the folder for temporary files {folder}: {err}") from err
    return folder


def remove_run_tmp(run_id: str) -> None:
    """Remove every TMPDIR of a run that is over."""
    remove_tree(_tmp_root() / run_id)


def runs_with_tmp() -> list[str]:
    """Return the ids of the runs, of whatever state folder, that have a folder for temporary files."""
    root = _tmp_root()
    return [entry.name for entry in root.iterdir()] if root.is_dir() else []


def _tmp_root() -> Path:
    return Path(tempfile.gettempdir()) / f"orch-{os.getuid()}"


def _identity(author: str) -> dict[str, str]:
    name, _, address = author.rpartition(" <")
    address = address.removesuffix(">")
    return {f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")} | {
        f"GIT_{role}_EMAIL": address for role in ("AUTHOR", "COMMITTER")
    }
