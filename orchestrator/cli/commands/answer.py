"""`orchestrator answer`: questions that agents left to a person, and the person's answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, repo_option
from orchestrator.cli.output import table, write, write_json

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.cli.question_text import OpenQuestion
    from orchestrator.journal.state import RunState

#: A run's id begins with its date, eight digits; a question's number is shorter.
_NUMBER_DIGITS = 7
_LINE_WIDTH = 70


@click.command()
@click.argument("which", nargs=-1, metavar="[RUN] [ID]")
@repo_option
@click.option("--allow", "say", flag_value="allow", help="Allow it, this once.")
@click.option(
    "--allow-run", "say", flag_value="allow-run", help="Allow it, and the very same again in this run."
)
@click.option("--deny", "say", flag_value="deny", help="Deny it.")
@click.option("-m", "--message", metavar="TEXT", help="With --deny: what the agent is told.")
@json_option
def command(
    which: tuple[str, ...], repo: Path | None, say: str | None, message: str | None, as_json: bool
) -> int:
    """Answer what agents ask, from any terminal.

    Without ID it lists the open questions of the runs that are going; with ID it shows one question
    whole. RUN may be left out when only one run is going. An answer holds for exactly the arguments
    that the question shows.

    \b
    Example:
      orchestrator answer
      orchestrator answer 3
      orchestrator answer 3 --allow
      orchestrator answer 20261123-1930 4 --deny -m "Use the package that is there."
    """
    run, number = _which(which)
    if message is not None and say != "deny":
        raise click.UsageError("--message goes with --deny", click.get_current_context())
    if number is None:
        if say:
            raise click.UsageError(f"--{say} needs the ID of a question", click.get_current_context())
        return _list(run, repo, as_json=as_json)
    if say is None:
        return _show(run, repo, number, as_json=as_json)
    return _answer(run, repo, number, say, message, as_json=as_json)


def _which(words: tuple[str, ...]) -> tuple[str | None, int | None]:
    """Tell RUN and ID apart."""
    if len(words) > 2:
        raise click.UsageError(f"expected RUN and ID, got {len(words)} words", click.get_current_context())
    run, number = (*words, None, None)[:2]
    if number is None and run is not None and _is_number(run):
        run, number = None, run
    if number is not None and not _is_number(number):
        raise click.UsageError(f"{number!a} is not the number of a question", click.get_current_context())
    return run, None if number is None else int(number)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _NUMBER_DIGITS


def _going(run: str | None, repo: Path | None) -> list[Path]:
    """The runs that are meant: the one that is named, else all that are going."""
    from orchestrator.cli.runs import is_over
    from orchestrator.journal.runs import find_run, is_live, list_runs, run_dir

    if run is not None:
        return [find_run(run)]
    folders = [run_dir(run_id) for run_id in list_runs()]
    return [folder for folder in folders if is_live(folder) and (repo is None or is_over(repo, folder))]


def _one(run: str | None, repo: Path | None) -> Path:
    from orchestrator.errors import InputError
    from orchestrator.journal.runs import is_live

    folders = _going(run, repo)
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise InputError(f"{len(folders)} runs are going: {names}", hint="name the run before the ID")
    if not folders or not is_live(folders[0]):
        which = f"run {folders[0].name} is not" if folders else "no run is"
        raise InputError(
            f"{which} going, so nothing waits for an answer",
            hint="`orchestrator list` shows the runs there are",
        )
    return folders[0]


def _open(state: RunState) -> list[OpenQuestion]:
    """What can still be answered: a run without a process hears nothing."""
    from orchestrator.cli.question_text import open_questions
    from orchestrator.model.event import RunStatus

    return open_questions(state) if state.status is RunStatus.RUNNING else []


def _list(run: str | None, repo: Path | None, *, as_json: bool) -> int:
    from datetime import UTC, datetime

    from orchestrator.cli.question_text import question_document
    from orchestrator.errors import JournalError
    from orchestrator.journal.state import load_state

    now = datetime.now(UTC)
    states = []
    for folder in _going(run, repo):
        try:
            states.append(load_state(folder))
        except JournalError:
            if run is not None:
                raise  # any other run has only just begun
    found = [(state, question) for state in states for question in _open(state)]
    if as_json:
        write_json({"questions": [question_document(state.run_id, one, now) for state, one in found]})
    elif not found:
        write("nothing waits for an answer")
    for state in [] if as_json else states:
        if questions := _open(state):
            _write_list(state, questions, now)
    return 0


def _write_list(state: RunState, questions: list[OpenQuestion], now: datetime) -> None:
    from orchestrator.report.words import duration

    write(f"run {state.run_id}")
    rows = [("  ID", "WORKER", "WAITS", "LEFT", "ASKS")]
    rows += [
        (
            f"  {one.number}",
            one.worker.id,
            duration(one.age(now)),
            duration(one.seconds_left(now)),
            _line(one.entry.request),
        )
        for one in questions
    ]
    for line in table(rows):
        write(line)
    write(f"\nlook at one: orchestrator answer {state.run_id} ID; then --allow, --allow-run or --deny")


def _line(request: Any) -> str:
    from orchestrator.cli.progress import asked, clip
    from orchestrator.cli.question_text import exact

    return clip(exact(asked(request)), _LINE_WIDTH)


def _find(folder: Path, number: int) -> tuple[RunState, OpenQuestion]:
    from orchestrator.errors import InputError
    from orchestrator.journal.state import load_state

    state = load_state(folder)
    questions = _open(state)
    for question in questions:
        if question.number == number:
            return state, question
    was = any(
        entry.question and entry.question.get("question") == number
        for worker in state.workers.values()
        for entry in worker.permissions.values()
    )
    open_now = ", ".join(str(question.number) for question in questions)
    raise InputError(
        f"question {number} of run {folder.name} is not open any more"
        if was
        else f"there is no question {number} in run {folder.name}",
        hint=f"open now: {open_now}" if open_now else "nothing waits for an answer now",
    )


def _show(run: str | None, repo: Path | None, number: int, *, as_json: bool) -> int:
    from datetime import UTC, datetime

    from orchestrator.cli.question_text import question_document, whole_question

    state, question = _find(_one(run, repo), number)
    now = datetime.now(UTC)
    if as_json:
        write_json(question_document(state.run_id, question, now))
    else:
        for line in whole_question(state.run_id, question, now):
            write(line)
    return 0


def _answer(
    run: str | None, repo: Path | None, number: int, say: str, message: str | None, *, as_json: bool
) -> int:
    from orchestrator.cli.answering import give_answer, refuse_agents

    refuse_agents()
    verdict = say.removesuffix("-run")
    folder = _one(run, repo)
    state, question = _find(folder, number)
    taken = give_answer(folder, state, question, verdict, for_run=say == "allow-run", message=message)
    if as_json:
        write_json({"run_id": folder.name, "id": number, "worker_id": question.worker.id, **taken})
    else:
        write(f"question {number} of {question.worker.id}: {taken['verdict']} ({taken['reason']})")
    return 0 if taken["verdict"] == verdict else 1
