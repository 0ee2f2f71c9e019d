"""`orchestrator run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.background import detach_option, is_in_background, leave_in_background
from orchestrator.cli.options import json_option, no_progress_option, read_duration, repo_option


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-p", "--prompt", "prompts", multiple=True, metavar="TEXT", help="One task; give it many times."
)
@repo_option
@click.option("--base", metavar="REF", help="The commit that all workers start from; HEAD unless given.")
@click.option("--agent", metavar="NAME", help="The agent of tasks that name none: see `orchestrator agents`.")
@click.option(
    "--max-workers", type=click.IntRange(min=1), metavar="N", help="How many work at once, at most."
)
@click.option("--timeout", callback=read_duration, metavar="D", help="For the whole run, such as 90s or 30m.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "worktree", "clone", "none"]),
    help="What each worker has for itself.",
)
@click.option(
    "--keep", type=click.Choice(["never", "failed", "always"]), help="Which workspaces stay after the run."
)
@click.option("--policy", metavar="FILE", help="Rules for what agents may do; built-in ones unless given.")
@click.option(
    "--trust-content",
    is_flag=True,
    help="Approve what the repository would get executed: agent settings, hooks and the like.",
)
@click.option("--land", is_flag=True, default=None, help="At the end, `land` what succeeded.")
@click.option("--events", metavar="FILE", help="Write events as JSON lines as they happen; - is stdout.")
@click.option(
    "--resume-failed",
    is_flag=True,
    help="Take over what the newest run with these tasks finished; run only the rest.",
)
@click.option(
    "--joblog",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the job log there: a line for each attempt as it ends, separated by tabs.",
)
@click.option(
    "--metrics",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep figures of the run there, in the text format of Prometheus.",
)
@click.option(
    "--traces",
    is_flag=True,
    help="Send OpenTelemetry traces; also done when OTEL_EXPORTER_OTLP_ENDPOINT is set.",
)
@detach_option
@no_progress_option
@json_option
def command(
    files: tuple[Path, ...],
    prompts: tuple[str, ...],
    *,
    events: str | None,
    detach: bool,
    joblog: Path | None,
    metrics: Path | None,
    traces: bool,
    resume_failed: bool,
    trust_content: bool,
    no_progress: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run a list of tasks, one agent each, all at once.

    FILES is one task file in YAML, or any number of Markdown files, one task each. Options count more
    than the task file. Ctrl-C stops the run and keeps all work; twice stops it at once.

    \b
    Exit codes: 0 all succeeded, 1 some did not, 2 wrong input (nothing was started),
    3 not everything landed, 4 halted, 130 interrupted.

    \b
    Example:
      orchestrator run tasks.yaml
      orchestrator run tasks.yaml --max-workers 4 --timeout 1h
      orchestrator run tasks.yaml --resume-failed
      orchestrator run tasks.yaml --detach
      orchestrator run docs/login.md docs/search.md
      orchestrator run -p "Fix the flaky login test" -p "Document the API" --json > report.json
    """
    from orchestrator.cli.execution import carry_out, exit_code
    from orchestrator.cli.summary import show_end
    from orchestrator.cli.tasks import read_tasks
    from orchestrator.core.plan import prepare, require_programs
    from orchestrator.core.takeover import take_over

    if events == "-" and as_json:
        raise click.UsageError("--events - and --json both want stdout", click.get_current_context())
    if detach and not is_in_background():
        return leave_in_background(as_json=as_json)
    plan = prepare(*read_tasks(files, prompts, options), trust_content=trust_content)
    plan = take_over(plan) if resume_failed else plan
    require_programs(plan)
    run = carry_out(
        plan, events=events, joblog=joblog, metrics=metrics, traces=traces, show_progress=not no_progress
    )
    if events != "-":
        show_end(run, as_json=as_json)
    return exit_code(run)
