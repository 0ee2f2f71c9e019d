"""The command `orchestrator`: finds the subcommand, turns errors into a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

import orchestrator
from orchestrator.cli.output import say, say_error
from orchestrator.errors import InputError, OrchestratorError

INTERRUPTED = 130
_READER_LEFT = {errno.EPIPE, errno.EIO}
PURPOSES = {
    "run": "Run a list of tasks, one agent each, all at once.",
    "demo": "Watch eight demo agents build a small project at once; needs no key and no network.",
    "init": "Write a commented task file to start from.",
    "doctor": "Check this machine and repository, and say how to mend what is wrong.",
    "agents": "List the agents that tasks can name.",
    "list": "List the runs, newest first.",
    "status": "Show how a run stands, also while it is going elsewhere.",
    "logs": "Show what a run or one of its workers wrote.",
    "answer": "Answer what agents ask, from any terminal.",
    "stop": "Stop a run that is going.",
    "conflicts": "Show who conflicts with whom, in which files, and in which order to merge.",
    "land": "Put the work of a run together on one branch, gated.",
    "attach": "Show a run live that goes on in the background or elsewhere.",
    "resume": "Go on with a run that was interrupted or whose process died.",
    "retry": "Try failed tasks of a run again, in the same run.",
    "report": "Show the report of a run as text, JSON or an HTML page.",
    "policy": "Say what the policy would answer to a request.",
    "gc": "Remove what ended runs left behind; branches that hold work stay.",
    "undo": "Bring back what was in a workspace when it was taken away.",
    "completion": "Print the completion script for a shell.",
}


class LazyGroup(click.Group):
    """Knows its subcommands by name and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(PURPOSES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in PURPOSES:
            return None
        module = import_module(f"orchestrator.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in PURPOSES or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        nearest = get_close_matches(name, PURPOSES, n=1)
        hint = f"did you mean `orchestrator {nearest[0]}`?" if nearest else "see `orchestrator --help`"
        raise InputError(f"there is no command `{name}`", hint=hint)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(PURPOSES.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `orchestrator demo`, then `orchestrator init`. "
    "Each command has its own help: `orchestrator run --help`.",
)
@click.version_option(orchestrator.__version__, "-V", "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """Run many AI coding agents in parallel over one git repository, unattended and safely."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names need not be UTF-8
    try:
        code = cli.main(args or ["--help"], prog_name="orchestrator", standalone_mode=False, obj=args)
        sys.stdout.flush()
    except click.ClickException as err:
        say_error(*_usage(err))
        return InputError.exit_code
    except OrchestratorError as err:
        say_error(err.message, err.hint)
        return err.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except Exception as err:  # noqa: BLE001 (the funnel: what nobody expected becomes a report to paste)
        if isinstance(err, OSError) and err.errno in _READER_LEFT:
            return _mute()
        from orchestrator.cli.crash import report_crash

        say_error(f"unexpected fault: {type(err).__name__}: {err}", report_crash(err, args))
        return 1
    return code if isinstance(code, int) else 0


def _usage(err: click.ClickException) -> tuple[str, str | None]:
    if not isinstance(err, click.UsageError):
        return err.format_message(), None
    path = err.ctx.command_path if err.ctx else "orchestrator"
    hint = f"see `{path} --help`"
    message = err.format_message()
    if isinstance(err, click.NoSuchOption):
        message = f"{path} has no option `{err.option_name}`"
        if err.possibilities:
            hint = f"did you mean `{err.possibilities[0]}`?"
    return message[:1].lower() + message[1:], hint


def _mute() -> int:
    """Whoever read our output has gone (`… | head`, a closed terminal): end quietly, to the very end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    return 1
