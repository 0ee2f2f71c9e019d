"""Runs the agents' benchmark: `python -m benchmarks.agents`; keeps raw rows and writes a summary."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.agents.bare import BARE_PROMPT, bare_command, endpoints, run_bare
from orchestrator.agents.registry import get_agent
from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Step, prompt_for
from orchestrator.ports import ProgramAgent

RESULTS = Path(__file__).parent / "results"
#: Where the tests' own agents are.
INSTALLED = Path(__file__).resolve().parents[2] / ".agents"
AGENTS = ("claude", "codex")
#: One write and one shell command, three requests to the model: the trivial task.
SCRIPT = (
    Step(say="I write the file.", write=("hello.txt", "hello\n")),
    Step(shell="git status --short"),
    Step(say="Done."),
)
#: The difference between these numbers of workers is what a worker costs, without the run's own start.
FEW, MANY = 2, 8
AS_COMMAND = "product, as a plain command"
#: The scripted model, and a folder for everything.
World = tuple[ModelServer, Path]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep, summarise; 1 when a worker failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every row (5)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for rows and summary")
    options = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    os.environ["PATH"] = f"{INSTALLED}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="agents-") as name, ModelServer({"trivial": SCRIPT}) as server:
        for row in _rows(options.rounds, (server, Path(name))):
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    if not rows:
        print("no agent is installed: nothing was measured", file=sys.stderr)
        return 1
    raw = _new_file(options.results)
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = raw.with_suffix(".md")
    summary.write_text(render(rows))
    print(f"{summary.read_text()}\nraw rows: {raw}\nsummary: {summary}")
    return 1 if any(row["failed"] for row in rows) else 0


def _rows(rounds: int, world: World) -> Iterator[dict[str, Any]]:
    programs = {name: program for name in AGENTS if (program := _program(name))}
    for round_ in range(1, rounds + 1):
        for agent, program in programs.items():
            for count in (1, FEW, MANY):
                yield {"round": round_, **_bare(agent, program, count, world)}
                yield {"round": round_, **_product(agent, count, "off", world)}
                yield {"round": round_, **_product(agent, count, "off", world, program)}
            yield {"round": round_, **_product(agent, 1, "on", world)}


def _program(name: str) -> str | None:
    agent = get_agent(name)
    found = agent.look(dict(os.environ)).program if isinstance(agent, ProgramAgent) else None
    return str(found) if found else None


def _bare(agent: str, program: str, count: int, world: World) -> dict[str, Any]:
    server, ground = world
    places = [_place(ground) for _ in range(count)]
    prompts = [f"{prompt_for('trivial')}/{number}" for number in range(count)]
    seen = len(server.requests)
    spent = run_bare(agent, program, prompts, url=server.url, places=places)
    undone = [folder for folder, _ in places if not (folder / "hello.txt").exists()]
    return {
        "agent": agent,
        "how": "bare",
        "workers": count,
        "first_request": round(server.requests[seen].at - spent.began, 4),
        "wall": round(spent.wall, 4),
        "cpu": round(spent.cpu, 4),
        "failed": [f"exit statuses {spent.exit_codes}"] if undone else [],
    }


def _product(
    agent: str, count: int, sandbox: str, world: World, program: str | None = None
) -> dict[str, Any]:
    """Through the adapter; with `program` as a plain command, where all is the same but for the adapter."""
    server, ground = world
    folder, home = _place(ground)
    bare = program and bare_command(agent, program, BARE_PROMPT, url=server.url, folder=folder, home=home)
    job = {
        "agent": agent,
        "prompt": prompt_for("trivial"),
        "repo": str(folder),
        "count": count,
        "sandbox": sandbox,
        "bare": bare,
    }
    seen = len(server.requests)
    env = {**os.environ, "HOME": str(home), "ORCHESTRATOR_HOME": str(home / "state"), **endpoints(server.url)}
    argv = [sys.executable, "-m", "benchmarks.agents.product", json.dumps(job)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(done.stdout)
    return {
        "agent": agent,
        "how": "product, sandboxed" if sandbox == "on" else AS_COMMAND if program else "product",
        "workers": count,
        "first_request": round(server.requests[seen].at - told["began"], 4),
        "wall": round(told["wall"], 4),
        "cpu": round(told["cpu_own"] + told["cpu_children"], 4),
        "cpu_own": round(told["cpu_own"], 4),
        "memory_mib": round(told["memory"] / (1 << 20), 2),
        "failed": told["failed"],
    }


def _place(ground: Path) -> tuple[Path, Path]:
    """A fresh repository and a fresh home."""
    folder = Path(tempfile.mkdtemp(dir=ground))
    home = Path(tempfile.mkdtemp(dir=ground))
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.org", "-C", str(folder)]
    (folder / "README.md").write_text("hello\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    return folder, home


def _new_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    names = (day, *(f"{day}-{number}" for number in range(2, 1000)))
    return next(path for path in (folder / f"{name}.jsonl" for name in names) if not path.exists())


def render(rows: Sequence[dict[str, Any]]) -> str:
    """Medians side by side, and what one more worker costs beyond the bare command line."""
    lines = [
        f"# Agents, {datetime.now(UTC):%Y-%m-%d}",
        "",
        _conditions(rows),
        "",
        "| agent | how | workers | first request s | wall s | processor s, whole tree |",
        "|---|---|---|---|---|---|",
    ]
    for agent, how, workers in sorted({(row["agent"], row["how"], row["workers"]) for row in rows}):
        same = _same(rows, agent, how, workers)
        figures = " | ".join(f"{_median(same, key):.2f}" for key in ("first_request", "wall", "cpu"))
        lines.append(f"| {agent} | {how} | {workers} | {figures} |")
    lines += [
        "",
        _explanation(),
        "",
        "| agent | its adapter (goal: 0.1) | the whole product | MiB of the orchestrator (goal: 15) |",
        "|---|---|---|---|",
    ]
    for agent in sorted({row["agent"] for row in rows}):
        one_more = {how: _one_more(rows, agent, how, "cpu") for how in ("product", AS_COMMAND, "bare")}
        adapter, whole = (one_more["product"] - one_more[how] for how in (AS_COMMAND, "bare"))
        memory = _one_more(rows, agent, "product", "memory_mib")
        lines.append(f"| {agent} | {adapter:.3f} | {whole:.3f} | {memory:.2f} |")
    return "\n".join([*lines, ""])


def _conditions(rows: Sequence[dict[str, Any]]) -> str:
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {_git()}, "
        f"medians of {max(row['round'] for row in rows)} rounds. The task: one file written, one command, "
        "three requests to a scripted model on this machine."
    )


def _explanation() -> str:
    return (
        f"What one more worker costs in processor seconds beyond the bare command line, from {FEW} and "
        f"{MANY} of them at once. The adapter's part is the difference to the same command line, run as a "
        "plain command of the product:"
    )


def _one_more(rows: Sequence[dict[str, Any]], agent: str, how: str, key: str) -> float:
    few, many = (_median(_same(rows, agent, how, count), key) for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def _same(rows: Sequence[dict[str, Any]], agent: str, how: str, workers: int) -> list[dict[str, Any]]:
    return [row for row in rows if (row["agent"], row["how"], row["workers"]) == (agent, how, workers)]


def _median(rows: Sequence[dict[str, Any]], key: str) -> float:
    return median(float(row[key]) for row in rows)


def _git() -> str:
    return subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
