"""Sets up and runs the project on a fresh machine: `python3 dev.py demo`, `python3 dev.py test`.

Needs Python 3.11 or newer and git, nothing else; everything goes into `.venv` beside this file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
AGENTS = ROOT / ".agents"  # the real coding agents that tests drive: a link to each program, and their files
LOCKS = ROOT / "requirements" / "agents"

USAGE = """usage: python3 dev.py COMMAND

  demo [ARGS]   run eight demo agents at once over a fresh repository (no key, no network)
  test [ARGS]   linters, types, layers and the test suite; ARGS go to pytest
  full          all of `test`, the slow tests and every benchmark
  lock          compile the locked requirements anew (needs uv)
"""


def main(argv: list[str]) -> int:
    """Run one command; return its exit status."""
    commands = {"demo": demo, "test": test, "full": full, "lock": lock}
    if not argv or argv[0] not in commands:
        print(USAGE, file=sys.stderr)
        return 2
    if fault := machine_fault():
        print(f"error: {fault}", file=sys.stderr)
        return 2
    return commands[argv[0]](argv[1:])


def machine_fault() -> str | None:
    """Say what this machine lacks; None when it will do."""
    if sys.version_info < (3, 11):
        return f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}"
    if shutil.which("git") is None:
        return "git is needed and was not found; install it with your system's packages"
    return None


def demo(args: list[str]) -> int:
    """Install what the product needs, then run its demo."""
    install("base")
    return run([PYTHON, "-m", "orchestrator", "demo", *args])


def test(args: list[str]) -> int:
    """Install what development needs, then check everything that is quick to check."""
    install("dev")
    install_agents(["claude", "codex"])
    checks = [
        [BIN / "ruff", "check", "."],
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "mypy"],
        [BIN / "lint-imports"],
        [PYTHON, "-m", "pytest", *(args or ["-m", "not slow"])],
    ]
    failed = [check for check in checks if run(check) != 0]
    for check in failed:
        print(f"failed: {show(check)}", file=sys.stderr)
    return 1 if failed else 0


def full(args: list[str]) -> int:
    """Everything: the slow tests and the benchmarks too."""
    install("dev")
    install_agents(["gemini"])
    status = test(args or ["-m", ""])
    for benchmark in sorted((ROOT / "benchmarks").glob("*/__main__.py")):
        status = run([PYTHON, "-m", f"benchmarks.{benchmark.parent.name}"]) or status
    return status


def lock(_: list[str]) -> int:
    """Compile the requirements, with hashes and without hosts."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    options += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "-q"]
    compiled = ["uv", "pip", "compile", "pyproject.toml", *options]
    agents = ["uv", "pip", "compile", "--group", "agents", "--no-deps", *options]
    return (
        run([*compiled, "-o", "requirements/base.txt"])
        or run([*compiled, "--group", "dev", "-o", "requirements/dev.txt"])
        or run([*agents, "-o", "requirements/agents/claude.txt"])
    )


def install(name: str) -> None:
    """Make `.venv` and put the locked requirements into it, unless they are there already."""
    wanted = ROOT / "requirements" / f"{name}.txt"
    mark = VENV / f"{name}.sha256"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    if mark.is_file() and mark.read_text() == digest:
        return
    print(f"setting up {VENV.name} from {wanted.relative_to(ROOT)} (once)", file=sys.stderr)
    require([sys.executable, "-m", "venv", VENV])
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    require([*pip, "--require-hashes", "-r", wanted])
    if name == "dev":
        require([*pip, "--no-deps", "--no-build-isolation", "-e", ROOT])
    mark.write_text(digest)


def install_agents(names: list[str]) -> None:
    """Put real coding agents into `.agents`, unless they are there; tests say which ones they miss."""
    for name in names:
        lock = LOCKS / "claude.txt" if name == "claude" else LOCKS / name / "package-lock.json"
        mark = AGENTS / f"{name}.sha256"
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()
        if mark.is_file() and mark.read_text() == digest:
            continue
        print(f"setting up the agent {name} in {AGENTS.name} (once)", file=sys.stderr)
        program = install_claude(lock) if name == "claude" else install_from_npm(name, lock)
        if program is None:
            continue
        link = AGENTS / name
        link.unlink(missing_ok=True)
        link.symlink_to(program.relative_to(AGENTS))
        mark.write_text(digest)


def install_claude(lock: Path) -> Path | None:
    """Claude Code comes inside a package for Python; only the program is wanted."""
    files = AGENTS / "files" / "claude"
    shutil.rmtree(files, ignore_errors=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if run([*pip, "--no-compile", "--target", files, "--require-hashes", "-r", lock]) != 0:
        return None
    return files / "claude_agent_sdk" / "_bundled" / "claude"


def install_from_npm(name: str, lock: Path) -> Path | None:
    """Install exactly what the lock file says, running no package's scripts."""
    if shutil.which("npm") is None:
        print(f"{name} is left out: npm was not found (install Node.js with npm)", file=sys.stderr)
        return None
    files = AGENTS / "files" / name
    shutil.rmtree(files, ignore_errors=True)
    shutil.copytree(lock.parent, files)
    if run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder=files) != 0:
        return None
    return files / "node_modules" / ".bin" / name


def require(command: list[str | Path]) -> None:
    """Run a command that must succeed."""
    if status := run(command):
        sys.exit(f"error: `{show(command)}` ended with status {status}")


def run(command: list[str | Path], folder: Path = ROOT) -> int:
    """Run a command, at the project's root if nothing else is said, its output passed through."""
    print(f"$ {show(command)}", file=sys.stderr, flush=True)
    return subprocess.run([str(part) for part in command], cwd=folder, check=False).returncode


def show(command: list[str | Path]) -> str:
    """The command as a person would type it from the project's root."""
    return " ".join(str(part).removeprefix(f"{ROOT}{os.sep}") for part in command)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
