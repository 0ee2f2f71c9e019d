"""`orchestrator demo`: the main job on a project that ships with the product."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, no_progress_option, read_duration
from orchestrator.cli.output import write, write_json

_WORKERS = 8


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A new folder for the repository, the task file and the report; a temporary one unless given.",
)
@click.option(
    "--unit",
    default="300ms",
    callback=read_duration,
    metavar="D",
    show_default=True,
    help="The agents work 20 to 25 of these.",
)
@click.option("--contended", is_flag=True, help="Let every agent change one shared file as well.")
@no_progress_option
@json_option
def command(folder: Path | None, unit: float, contended: bool, no_progress: bool, as_json: bool) -> int:
    """Watch eight demo agents build a small project at once; needs no key and no network.

    Makes a fresh git repository with the scaffold of a small blogging platform. Eight scripted agents
    build a module each, in a workspace and on a branch of their own; their tests are run; the measured
    times say whether all worked at once; what they built is put together on one branch, and tested
    again. The folder stays for you to look at.

    \b
    Example:
      orchestrator demo
      orchestrator demo --dir ~/microblog-demo --unit 1s
    """
    from orchestrator.cli.execution import carry_out, exit_code
    from orchestrator.config import OrchestratorConfig
    from orchestrator.core.plan import prepare
    from orchestrator.demo.microblog import build_repository, microblog_gate, microblog_tasks, task_file_text
    from orchestrator.journal.state import load_state
    from orchestrator.model.event import RunStatus
    from orchestrator.report.build import build_report
    from orchestrator.report.page import render_page
    from orchestrator.report.text import render_text

    folder = _new_folder(folder)
    repo = folder / "microblog"
    build_repository(repo)
    tasks = microblog_tasks(unit, "contended" if contended else "clean")
    (folder / "tasks.yaml").write_text(task_file_text(tasks), encoding="utf-8")
    settings = {"repo": repo, "agent": "demo", "max_workers": _WORKERS, "land": True}
    plan = prepare(OrchestratorConfig(**settings, verify=[microblog_gate()]), tasks)
    run = carry_out(plan, events=None, show_progress=not no_progress)
    state = load_state(run.directory)
    report = build_report(state)
    (folder / "report.html").write_text(render_page(state), encoding="utf-8")
    if as_json:
        write_json(report)
    else:
        write(render_text(report))
        _show_verdict(report)
        _show_places(report, folder)
        if run.status is RunStatus.SUCCEEDED and not report["landing"]["held"]:
            _show_result(report)
    return exit_code(run)


def _new_folder(folder: Path | None) -> Path:
    import tempfile

    from orchestrator.cli.diagnosis import check_git
    from orchestrator.errors import InputError

    git = check_git()
    if git.status == "fail":
        raise InputError(f"git: {git.found}", hint=git.mend)
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} is not empty", hint="name a folder that is not there yet")
    except OSError as err:
        raise InputError(f"cannot use {folder}: {err.strerror}", hint="name another folder") from err
    return folder


def _show_verdict(report: Mapping[str, Any]) -> None:
    from orchestrator.report.verdict import verification_block

    results = report["results"]
    durations = [(result["worker_id"], result["duration"]) for result in results]
    parallel = report["max_overlap"] == min(len(results), report["max_workers"]) > 1
    write(verification_block(durations, report["wall_seconds"], parallel))


def _show_places(report: Mapping[str, Any], folder: Path) -> None:
    write(f"\nrepository  {report['repo']}")
    write(f"branches    git branch --list 'orchestrator/{report['run_id']}/*'")
    write(f"page        {folder / 'report.html'}")
    write(f"task file   {folder / 'tasks.yaml'}")


def _show_result(report: Mapping[str, Any]) -> None:
    """All modules are on one branch, which a newcomer can take over and start."""
    write("\nLook at what they built:")
    write(f"  cd {report['repo']}")
    write(f"  git merge --ff-only {report['landing']['branch']}")
    write("  python3 -m unittest     # all modules together")
    write("  python3 -m microblog    # serves it on http://127.0.0.1:8000")
