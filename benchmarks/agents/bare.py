"""The peers: each agent's own command line without us, on the same task and the same model server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: What the task's scripted model writes and runs; the bare command lines are told to allow just that.
CODEX_CONFIG = """\
model = "scripted-model"
model_provider = "scripted"
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "workspace-write"
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
[features]
plugins = false
[analytics]
enabled = false
[projects."{folder}"]
trust_level = "trusted"
"""


#: Stands for the prompt in a command line that is not run yet.
BARE_PROMPT = "PROMPT"
#: A repository to work in, and a home.
Place = tuple[Path, Path]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What some process trees took."""

    began: float  #: monotonic
    wall: float
    cpu: float
    exit_codes: tuple[int, ...]


def run_bare(agent: str, program: str, prompts: Sequence[str], *, url: str, places: Sequence[Place]) -> Spent:
    """Run the agent's own command line once in each place, all at once, to their ends."""
    began = time.monotonic()
    running = []
    for prompt, (folder, home) in zip(prompts, places, strict=True):
        argv, env = bare_command(agent, program, prompt, url=url, folder=folder, home=home)
        running.append(
            subprocess.Popen(
                argv,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    cpu = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu += usage.ru_utime + usage.ru_stime
    exit_codes = tuple(process.returncode for process in running)
    return Spent(began=began, wall=time.monotonic() - began, cpu=cpu, exit_codes=exit_codes)


def bare_command(
    agent: str, program: str, prompt: str, *, url: str, folder: Path, home: Path
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment of one agent by itself."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **endpoints(url)}
    if agent == "claude":
        argv = [program, "-p", prompt, "--output-format", "stream-json", "--verbose"]
        return [*argv, "--permission-mode", "acceptEdits", "--allowedTools", "Bash"], env
    codex_home = home / "codex"
    codex_home.mkdir(exist_ok=True)
    (codex_home / "config.toml").write_text(CODEX_CONFIG.format(url=url, folder=folder))
    return [program, "exec", "--json", prompt], env | {"CODEX_HOME": str(codex_home)}


def endpoints(url: str) -> Mapping[str, str]:
    """Variables that lead both agents to the scripted model, with keys that open nothing."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "dummy",
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }
