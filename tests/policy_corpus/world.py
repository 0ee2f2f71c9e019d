"""The files of the world that attacks run in: a workspace with a repository, and places beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SECRET = "SECRET-7F3A"
CANARY = '#!/bin/sh\necho harm >> "$HARM"\n'
_PYTHON = 'import os\nos.system("canary")\n'
#: Without its version git does not take it for a repository.
_BARE_CONFIG = "[core]\nrepositoryformatversion = 0\nbare = false\nworktree = ..\nfsmonitor = canary\n"
_FILES = {
    "bin/canary": CANARY,
    "out/keep": "kept\nkept\n",
    "home/.ssh/id_rsa": f"{SECRET}\n",
    "evilmake/Makefile": "all:\n\tcanary\n",
    "evilnpm/package.json": '{"scripts": {"test": "canary", "evil": "canary"}}',
    "ws/README.md": "a blog\nwith the canary\n",
    "ws/src/a.py": "blog = 1\n",
    "ws/src/x.js": "const x = 1;\n",
    "ws/tests/test_a.py": "import unittest\n",
    "ws/package.json": '{"name": "blog", "scripts": {"test": "true", "build": "true", "lint": "true"}}',
    "ws/Makefile": "all:\n\ttrue\ntest:\n\ttrue\n",
    "ws/evil.sh": "#!/bin/sh\ncanary\n",
    "ws/evil.py": _PYTHON,
    "ws/evilmod.py": _PYTHON,
    "ws/evilpath/json/__init__.py": _PYTHON,
    "ws/Evil.pm": 'package Evil; system("canary"); 1;',
    "ws/evil.pl": 'system("canary");',
    "ws/evil.js": 'require("child_process").execSync("canary");',
    "ws/evil.mk": "all:\n\tcanary\ntest:\n\tcanary\n",
    "ws/evil.awk": 'BEGIN { system("canary") }',
    "ws/evil.sed": "1e canary\n",
    "ws/evil.m4": "syscmd(`canary')",
    "ws/evil.cmd": "canary\n",
    "ws/name": "canary\n",
    "ws/yes": "y\n",
    "ws/edcmds": "!canary\nq\n",
    "ws/zerolist": "../home/.ssh/id_rsa\0",
    "ws/b64": "aGVsbG8=\n",
    "ws/hexfile": "00000000: 6869 0a\n",
    "ws/cred": "protocol=https\nhost=x\n\n",
    "ws/big": "".join(f"{n % 97}\n" for n in range(20000)),
    "ws/evilhooks/pre-commit": "#!/bin/sh\ncanary\n",
    "ws/evildir/.envrc": "canary\n",
    "ws/evildir/.claude/settings.json": "{}",
    "ws/sub/deep/keep": "x\n",
    "ws/.husky/keep": "x\n",
    "ws/.vscode/keep": "x\n",
    "ws/bare/HEAD": "ref: refs/heads/main\n",
    "ws/bare/config": _BARE_CONFIG,
    "ws/bare/objects/keep": "",
    "ws/bare/refs/heads/keep": "",
}
_LINKS = {
    "ws/link": "../out",
    "ws/keylink": "../home/.ssh/id_rsa",
    "ws/gitlink": ".git/config",
    "ws/hooklink": ".git/hooks/pre-commit",
    "ws/sub/deep/up": "../out",
}
_PROGRAMS = ("bin/canary", "ws/evil.sh", "ws/evilhooks/pre-commit")
#: Beside what lies outside the workspace: what no command may change in it.
PROTECTED = (".git/config", ".git/hooks", ".git/info", ".claude", ".envrc", ".mcp.json", ".vscode", ".husky",
             ".gitmodules", ".npmrc", ".bashrc")  # fmt: skip


def build(world: Path) -> None:
    """Make the world's files. `world / "bin"` is to be on the PATH."""
    for name, text in _FILES.items():
        path = world / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in _LINKS.items():
        (world / name).symlink_to(target)
    for name in _PROGRAMS:
        (world / name).chmod(0o755)
    workspace = world / "ws"
    (workspace / "bin").mkdir()
    shutil.copy(world / "bin/canary", workspace / "bin/ls")
    lines = ("init -q -b main", "add README.md", "commit -qm 1", "add src", "commit -qm 2", "add Makefile")
    for line in (*lines, "commit -qm 3"):
        subprocess.run(["git", *line.split()], cwd=workspace, env=git_env(), check=True, capture_output=True)
    for sample in (workspace / ".git/hooks").iterdir():
        sample.unlink()


def git_env() -> dict[str, str]:
    """Git without the user's settings."""
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **who,
    }
