"""The cases that every agent adapter is checked by: what the model does, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.conformance.evidence import PASSED, Evidence, Judgement, failed, unsupported
from orchestrator.conformance.script import Failure, Script, Step
from orchestrator.model.outcome import TurnEnd
from orchestrator.model.request import Tool
from orchestrator.model.result import Status

REASON = "the conformance kit refuses this on purpose"
#: The rules that the cases count on.
POLICY = f"""\
version: 1
extends: unattended
deny:
  - {{id: refused-file, tools: [write], paths: ["refused/**"], reason: {REASON}}}
  - {{id: refused-command, tools: [shell], commands: [{{program: cp}}], reason: {REASON}}}
allow:
  - {{id: waiting, tools: [shell], commands: [{{program: tail}}]}}
"""
#: A command that goes on until it is ended, and the file that shows that it has begun.
BEGUN = "begun.txt"
WAIT = f"touch {BEGUN} && tail -f {BEGUN}"
#: A stop has to be over in this time, the agent's own grace included.
_STOP_S = 25.0
#: What clients' own small questions may add to the figures.
_ASIDE_TOKENS = 100
#: Some clients ask again when they are refused.
_REFUSALS = 12
_SAID = "The model has spoken."
_DONE = Step(say="Done.")
_REQUEST = Failure(status=400, message="the scripted model refuses this request")
_KEY = Failure(status=401, message="the scripted model does not know this key")
#: Ends that say nothing about the turn.
_BLIND = {TurnEnd.CRASHED, TurnEnd.PROTOCOL, None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. The scripts' first name is the case's own."""

    name: str
    about: str
    scripts: Mapping[str, Script]
    judge: Callable[[Evidence], Judgement]
    then: str | None = None  #: the script of a second turn in the same session


def _succeeded(evidence: Evidence) -> Judgement | None:
    return None if evidence.result.status is Status.SUCCEEDED else failed(evidence.end())


def _message(evidence: Evidence) -> Judgement:
    if not evidence.requests:
        return failed(f"its program never asked the scripted model; {evidence.end()}")
    if bad := _succeeded(evidence):
        return bad
    if _SAID not in evidence.result.output:
        return failed(f"the model's last words are not its output, which is {evidence.result.output!r}")
    return PASSED


def _exit(evidence: Evidence) -> Judgement:
    result = evidence.result
    if bad := _succeeded(evidence):
        return bad
    if result.exit_code is None and result.signal is None:
        return unsupported("the adapter leaves its program running, for the caller to stop")
    if result.exit_code != 0:
        return failed(f"its program ended with {result.signal or f'status {result.exit_code}'}")
    return PASSED


def _made(evidence: Evidence, *paths: str) -> Judgement | None:
    missing = [path for path in paths if path not in evidence.result.files_changed]
    if bad := _succeeded(evidence):
        return bad
    return failed(f"{', '.join(missing)} was not made") if missing else None


def _write(evidence: Evidence) -> Judgement:
    asked = [str(data["path"]) for data in evidence.asked(Tool.WRITE)]
    if bad := _made(evidence, "made.txt"):
        return bad
    if not any(path.endswith("made.txt") for path in asked):
        return failed("the file was written, and nobody was asked")
    return PASSED


def _commands(*wanted: str) -> Callable[[Evidence], Judgement]:
    def judge(evidence: Evidence) -> Judgement:
        asked = "\n".join(str(data["command"]) for data in evidence.asked(Tool.SHELL))
        if bad := _made(evidence, *(command.split()[-1] for command in wanted)):
            return bad
        unasked = [command for command in wanted if command not in asked]
        return failed(f"`{unasked[0]}` was run, and nobody was asked") if unasked else PASSED

    return judge


def _denied(path: str) -> Callable[[Evidence], Judgement]:
    def judge(evidence: Evidence) -> Judgement:
        result = evidence.result
        if path in result.files_changed:
            return failed("it was done all the same")
        if not result.permissions.denied:
            return failed(f"nobody was asked; {evidence.end()}")
        if (result.status, result.error_kind) != (Status.REJECTED, TurnEnd.DENIED):
            return failed(f"{evidence.end()}, not as rejected ({TurnEnd.DENIED})")
        return PASSED if REASON in evidence.heard() else unsupported("the model is not told the reason")

    return judge


def _usage(evidence: Evidence) -> Judgement:
    usage = evidence.result.usage
    if bad := _succeeded(evidence):
        return bad
    if usage.input_tokens is None or usage.output_tokens is None:
        return unsupported("it does not tell its tokens")
    if 0 <= usage.input_tokens - 3000 <= _ASIDE_TOKENS and 0 <= usage.output_tokens - 120 <= _ASIDE_TOKENS:
        return PASSED
    return failed(f"it tells {usage.input_tokens} and {usage.output_tokens} tokens of 3000 and 120")


def _resume(evidence: Evidence) -> Judgement:
    usage = evidence.result.usage
    first = [seen for seen in evidence.requests if seen.script == "resume"]
    then = [seen for seen in evidence.requests if seen.script == "resumed"]
    if first and not then and evidence.result.session_id is None:
        return unsupported("it tells no session to go on with")
    if bad := _succeeded(evidence):
        return bad
    if len(evidence.sessions()) > 1:
        return unsupported("it could not go on with its session, and says that it began a new one")
    if not then or not any("SCRIPT:resume\n" in f"{item.text}\n" for item in then[0].request.items):
        return failed("the second turn does not know of the first")
    if usage.input_tokens is not None and usage.input_tokens > 1000 + _ASIDE_TOKENS:
        return failed(f"the second turn's {usage.input_tokens} input tokens hold those of the first")
    return PASSED


def _ends_as(kind: TurnEnd) -> Callable[[Evidence], Judgement]:
    def judge(evidence: Evidence) -> Judgement:
        result = evidence.result
        if result.status is not Status.FAILED or result.error_kind in _BLIND:
            return failed(f"{evidence.end()}, not as failed ({kind})")
        if result.error_kind != kind:
            return unsupported(f"it cannot be told from `{result.error_kind}`")
        return PASSED

    return judge


def _interrupt(evidence: Evidence) -> Judgement:
    if evidence.stop_s is None:
        return failed(f"its command never began; {evidence.end()}")
    if evidence.result.status is not Status.CANCELLED:
        return failed(f"{evidence.end()}, not as cancelled")
    if evidence.stop_s > _STOP_S:
        return failed(f"it took {evidence.stop_s:.1f} s to stop")
    return PASSED


def _run(command: str, *also: Step) -> Step:
    return Step(shell=command, also=also)


def _spent(step: Step, input_tokens: int, output_tokens: int) -> Step:
    return replace(step, input_tokens=input_tokens, output_tokens=output_tokens)


MESSAGE = Case(
    name="message",
    about="the model's last words are the task's output",
    scripts={"message": [Step(say=_SAID)]},
    judge=_message,
)
EXIT = Case(name="exit", about="its program ends by itself, well", scripts=MESSAGE.scripts, judge=_exit)
INTERRUPT = Case(
    name="interrupt",
    about="a stop in the middle of a command is obeyed",
    scripts={"interrupt": [_run(WAIT), _DONE]},
    judge=_interrupt,
)
CASES: Sequence[Case] = (
    Case(
        name="write",
        about="a file is written after asking",
        scripts={"write": [Step(write=("made.txt", "made\n")), _DONE]},
        judge=_write,
    ),
    Case(
        name="shell",
        about="a command runs after asking",
        scripts={"shell": [_run("touch ran.txt"), _DONE]},
        judge=_commands("touch ran.txt"),
    ),
    Case(
        name="two-at-once",
        about="two questions in one turn are both answered",
        scripts={"two-at-once": [_run("touch one.txt", _run("touch two.txt")), _DONE]},
        judge=_commands("touch one.txt", "touch two.txt"),
    ),
    Case(
        name="denied-write",
        about="a refused file is not written, and the model hears why",
        scripts={"denied-write": [Step(write=("refused/made.txt", "made\n")), _DONE]},
        judge=_denied("refused/made.txt"),
    ),
    Case(
        name="denied-shell",
        about="a refused command does not run, and the model hears why",
        scripts={"denied-shell": [_run("cp README.md copied.md"), _DONE]},
        judge=_denied("copied.md"),
    ),
    Case(
        name="usage",
        about="the tokens told are those that were used",
        scripts={"usage": [_spent(_run("touch used.txt"), 1000, 50), _spent(_DONE, 2000, 70)]},
        judge=_usage,
    ),
    Case(
        name="resume",
        about="a session is gone on with",
        scripts={
            # A turn without a tool is not worth a session to some agents.
            "resume": [_spent(_run("touch first.txt"), 1000, 50), _DONE],
            "resumed": [_spent(_DONE, 1000, 50)],
        },
        judge=_resume,
        then="resumed",
    ),
    Case(
        name="model-error",
        about="an error of the model's server is no success",
        scripts={"model-error": [Step(failure=_REQUEST)]},
        judge=_ends_as(TurnEnd.MODEL),
    ),
    Case(
        name="bad-key",
        about="a key that is not accepted is told as such",
        scripts={"bad-key": [Step(failure=_KEY)]},
        judge=_ends_as(TurnEnd.AUTH),
    ),
    Case(
        name="context",
        about="a conversation that grew too long is told as such",
        scripts={"context": [Step(stop="context")]},
        judge=_ends_as(TurnEnd.CONTEXT),
    ),
    Case(
        name="refusal",
        about="what the model refuses is no success",
        scripts={"refusal": [Step(stop="refusal")] * _REFUSALS},
        judge=_ends_as(TurnEnd.REFUSED),
    ),
)
