"""`orchestrator policy check`: what would the policy say?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orchestrator.cli.options import json_option


@click.group()
def command() -> None:
    """Say what the policy would answer to a request.

    \b
    Example:
      orchestrator policy check --command 'git push -f'
    """


@command.command()
@click.option("--command", "line", metavar="TEXT", help="One shell command.")
@click.option("--stdin", "from_stdin", is_flag=True, help="One JSON request a line, from standard input.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The rules; the built-in unattended policy unless given.",
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="What paths are relative to; the current folder unless given.",
)
@json_option
def check(
    line: str | None, from_stdin: bool, policy_file: Path | None, workspace: Path, as_json: bool
) -> int:
    """Say what the policy would answer: decision, level, rule and reason; nothing is run.

    With --stdin each line is one request, such as {"tool": "shell", "command": "git push"} or
    {"tool": "write", "path": "src/a.py"}; each gets one line of output. A line that is no such
    request is denied, and makes the exit code 2. With --json every line of output is one object.

    \b
    Example:
      orchestrator policy check --command 'git push -f'
      orchestrator policy check --policy policy.yaml --stdin --json < requests.jsonl
    """
    from orchestrator.cli.policy_check import check_command, check_lines

    if (line is None) is not from_stdin:
        raise click.UsageError("give either --command or --stdin", click.get_current_context())
    if line is not None:
        return check_command(line, policy_file, workspace, as_json=as_json)
    return check_lines(sys.stdin.buffer, policy_file, workspace, as_json=as_json)
