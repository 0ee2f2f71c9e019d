"""What a run looks like while it goes: lines of text drawn from its state, for a terminal or a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.cli.eta import remaining
from orchestrator.journal.state import RunState
from orchestrator.journal.worker_state import WorkerState
from orchestrator.model.event import Event, EventKind, Phase
from orchestrator.model.request import Verdict
from orchestrator.model.result import Status
from orchestrator.report.words import duration, one_line

#: (text, colour) -> text; the colour names are those of `output.paint`.
Paint = Callable[[str, str], str]
#: (worker, width) -> the last line that it wrote.
LastLine = Callable[[WorkerState, int], str]
BUSY = frozenset(Phase) - {Phase.QUEUED, Phase.FINISHED}
_STATE_WIDTH = max(len(word) for word in (*Phase, *Status))
_COLOURS = {
    Phase.QUEUED: "dim",
    Phase.RUNNING: "cyan",
    Phase.WAITING: "yellow",
    Status.SUCCEEDED: "green",
    Status.CANCELLED: "yellow",
    Status.PARKED: "yellow",
}
_SIGNS = {"output": "output", "events": "protocol", "cpu": "processor", "files": "files"}
_LIVENESS = {
    "alive": "alive",
    "silent": "silent",
    "stuck": "unknown, perhaps stuck",
    "dead": "unknown, its processes are gone",
}
_BUSY_COLOUR, _ENDED_COLOUR = "blue", "red"


def block(
    state: RunState, now: datetime, size: tuple[int, int], *, last_line: LastLine, paint: Paint
) -> list[str]:
    """Draw the whole run in at most `size` (columns, rows): a line per worker, then the overall bar."""
    columns, rows = size
    workers = list(state.workers.values())
    foot = [line for line in (_overlaps(state, columns, paint),) if line] if rows > 3 else []
    shown = _visible(workers, max(0, rows - 1 - len(foot)))
    id_width = min(max((len(worker.id) for worker in shown), default=0), max(8, columns // 3))
    lines = [
        _worker_line(worker, now, columns=columns, id_width=id_width, last_line=last_line, paint=paint)
        for worker in shown
    ]
    if len(shown) < len(workers):
        lines.append(paint(_hidden(workers, shown)[: columns - 1], "dim"))
    lines += [*foot, _bar(state, now, columns, paint)]
    return lines[-max(1, rows) :]


def _visible(workers: Sequence[WorkerState], rows: int) -> list[WorkerState]:
    """Choose who gets a line, in spawn order: all if they fit, else the busy, the failed, the next."""
    if len(workers) <= rows:
        return list(workers)
    chosen = sorted(workers, key=_rank)[: max(0, rows - 1)]
    ids = {worker.id for worker in chosen}
    return [worker for worker in workers if worker.id in ids]


def _rank(worker: WorkerState) -> int:
    if worker.phase is Phase.WAITING:
        return 0
    if worker.phase in BUSY:
        return 1
    if worker.result is None:
        return 3
    return 4 if worker.result.success else 2


def _hidden(workers: Sequence[WorkerState], shown: Sequence[WorkerState]) -> str:
    ids = {worker.id for worker in shown}
    words = Counter(_group(worker) for worker in workers if worker.id not in ids)
    return "+" + ", ".join(
        f"{words[word]} {word}" for word in ("busy", "queued", "failed", "done") if words[word]
    )


def _group(worker: WorkerState) -> str:
    if worker.result is not None:
        return "done" if worker.result.success else "failed"
    return "busy" if worker.phase in BUSY else "queued"


def _worker_line(
    worker: WorkerState, now: datetime, *, columns: int, id_width: int, last_line: LastLine, paint: Paint
) -> str:
    word: Phase | Status = worker.result.status if worker.result else worker.phase
    usual = _BUSY_COLOUR if isinstance(word, Phase) else _ENDED_COLOUR
    elapsed = _elapsed(worker, now)
    room = columns - id_width - _STATE_WIDTH - 14
    said = _said(worker, room, last_line) if room > 0 else ""
    time = f"{duration(elapsed) if elapsed is not None else '':>8}"
    head = f"{clip(worker.id, id_width):{id_width}}  "
    if len(head) + _STATE_WIDTH + len(time) >= columns:
        return f"{head}{paint(word, _COLOURS.get(word, usual))}"
    line = f"{head}{paint(f'{word:{_STATE_WIDTH}}', _COLOURS.get(word, usual))}{time}"
    return f"{line}  {paint(said, 'dim')}" if said else line


def _elapsed(worker: WorkerState, now: datetime) -> float | None:
    if worker.result is not None:
        return worker.result.duration
    if not worker.attempts:
        return None
    last = worker.attempts[-1]
    before = sum((attempt.end or attempt.start) - attempt.start for attempt in worker.attempts[:-1])
    if last.end is not None:
        return before + last.end - last.start
    return before + max(0.0, (now - last.started_at).total_seconds())


def _said(worker: WorkerState, room: int, last_line: LastLine) -> str:
    """What is worth a look: why it ended, what it asks, what it waits for, else its last line."""
    if worker.result is not None:
        return clip(one_line(worker.result.error_message or ""), room)
    if questions := worker.open_questions:
        return clip(one_line(f"waiting for an answer: {asked(questions[0].request)}"), room)
    if worker.waiting:
        return clip(f"waiting: {waited_for(worker.waiting)}", room)
    if worker.phase is Phase.QUEUED:
        return clip(f"needs {', '.join(worker.needs)}" if worker.needs else "", room)
    if worker.liveness and worker.liveness.get("state") != "alive":
        return clip(signs_of_life(worker.liveness), room)
    return last_line(worker, room)


def signs_of_life(told: Mapping[str, Any]) -> str:
    """Say how alive a worker is, and by what: `silent; output 14:05:10, processor 14:09:59`."""
    seen = told.get("seen") or {}
    parts = [f"{_SIGNS[sign]} {_second(stamp)}" for sign, stamp in seen.items() if stamp and sign in _SIGNS]
    if told.get("processes") is not None:
        parts.append(f"{told['processes']} processes")
    return f"{_LIVENESS.get(str(told.get('state')), 'unknown')}; last seen: {', '.join(parts) or 'nothing'}"


def _second(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp).astimezone():%H:%M:%S}"


def waited_for(waiting: Mapping[str, Any]) -> str:
    """Say what a worker waits for that could start: `claude's limit until 14:05`."""
    until = f" until {clock_time(waiting['until'])}" if waiting.get("until") else ""
    return one_line(str(waiting.get("detail") or waiting.get("reason"))) + until


def clock_time(stamp: str) -> str:
    """Say a stamp as a person reads a clock; with the day when it is another one."""
    try:
        at = datetime.fromisoformat(stamp).astimezone()
    except ValueError:
        return one_line(stamp)
    return f"{at:%H:%M}" if at.date() == datetime.now().astimezone().date() else f"{at:%Y-%m-%d %H:%M}"


def asked(request: Mapping[str, Any]) -> str:
    """Say a permission request in words: `write src/a.ts`, `shell npm test`."""
    arguments = request.get("arguments") or {}
    what = request.get("path") or request.get("command") or " ".join(map(str, arguments.values()))
    return f"{request.get('tool', 'something')} {what}".strip()


def clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _overlaps(state: RunState, columns: int, paint: Paint) -> str:
    """The files in which workers conflict so far, those of most workers first; the report has it exactly."""
    if not state.overlaps or state.wall_seconds is not None:
        return ""
    workers: dict[str, set[str]] = {}
    for overlap in state.overlaps:
        workers.setdefault(overlap["file"], set()).update((overlap["a"], overlap["b"]))
    files = sorted(workers.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    named = ", ".join(f"{one_line(file)} ({len(names)} workers)" for file, names in files)
    return paint(clip(f"conflicts so far: {named}", columns - 1), "yellow")


def _bar(state: RunState, now: datetime, columns: int, paint: Paint) -> str:
    total = len(state.workers)
    failed = sum(worker.result is not None and not worker.result.success for worker in state.workers.values())
    facts = [f"{state.done}/{total} done"]
    if failed:
        facts.append(f"{failed} failed")
    facts.append(duration(_run_elapsed(state, now)))
    left = remaining(state, now)
    if left is not None and not state.stopping:
        facts.append(f"about {duration(left)} left" if left >= 1 else "nearly done")
    if state.paused:
        facts.append(f"paused ({state.paused})")
    if state.stopping:
        facts.append(f"stopping ({state.stopping})")
    text = "  ".join(facts)
    width = min(40, columns - len(text) - 4)
    if width < 5:
        return text[: columns - 1]
    full = width * state.done // total if total else width
    return f"{paint('#' * full, 'red' if failed else 'green')}{paint('.' * (width - full), 'dim')}  {text}"


def _run_elapsed(state: RunState, now: datetime) -> float:
    return state.elapsed if state.wall_seconds is not None else state.elapsed_at(now)


def log_line(event: Event, state: RunState) -> str | None:
    """One plain line for an event that matters to a reader; `state` is the one after it."""
    text = log_text(event, state)
    return None if text is None else f"[{duration(_run_elapsed(state, event.at)):>7}] {text}"


def log_text(event: Event, state: RunState) -> str | None:
    """The same without the run's time."""
    words = _LOG_LINES.get(event.kind)
    return words(event, state) if words else None


def question_line(event: Event, state: RunState) -> str | None:
    """The line for a question that waits for a person; None for all other events."""
    return log_line(event, state) if event.data.get("verdict") == Verdict.ASK else None


def _started(event: Event, _state: RunState) -> str:
    return f"started    {event.worker_id}" + (
        f" (attempt {event.attempt})" if (event.attempt or 1) > 1 else ""
    )


def _finished(event: Event, state: RunState) -> str:
    result = event.data["result"]
    why = f": {one_line(result['error_message'])}" if result.get("error_message") else ""
    count = f"{event.data.get('done', state.done)}/{event.data.get('total', len(state.workers))}"
    return f"{result['status']:10} {event.worker_id} {count} in {duration(result['duration'])}{why}"


def _decided(event: Event, state: RunState) -> str | None:
    """Only what a person may want to act on: a question that waits, and a refusal with its reason."""
    if event.data["verdict"] == Verdict.ALLOW or event.worker_id is None:
        return None
    request = state.workers[event.worker_id].permissions[event.data["request_id"]].request
    if event.data["verdict"] == Verdict.ASK:
        how = f"orchestrator answer {state.run_id} {event.data['question']}"
        return f"waiting    {event.worker_id} asks: {one_line(asked(request))} ({how})"
    return f"refused    {event.worker_id} {one_line(asked(request))}: {one_line(event.data['reason'])}"


def _given_back(event: Event, _state: RunState) -> str:
    data = event.data
    place = f"round {data['round']} of {data['of']}"
    return f"mending    {event.worker_id} {place}: `{one_line(data['command'])}` failed"


def _retrying(event: Event, _state: RunState) -> str:
    return (
        f"retrying   {event.worker_id} in {duration(event.data['delay_s'])} ({event.data.get('error_kind')})"
    )


def _waiting(event: Event, _state: RunState) -> str | None:
    return f"waiting    {event.worker_id}: {waited_for(event.data)}" if event.data.get("reason") else None


def _overlap(event: Event, state: RunState) -> str | None:
    """A file is worth a line when the first two conflict in it, and each time they have doubled since."""
    file = event.data["file"]
    couples = [(one["a"], one["b"]) for one in state.overlaps if one["file"] == file]
    workers = list(dict.fromkeys(name for couple in couples for name in couple))
    before = {name for couple in couples[:-1] for name in couple}
    if len(workers) == len(before) or len(workers).bit_count() != 1:
        return None
    named = ", ".join(workers[:4]) + (f" and {len(workers) - 4} more" if len(workers) > 4 else "")
    return f"conflict   {named} so far: {one_line(file)} ({one_line(event.data['kind'])})"


def _liveness(event: Event, _state: RunState) -> str:
    return f"watching   {event.worker_id}: {signs_of_life(event.data)}"


def _limited(event: Event, _state: RunState) -> str:
    return f"limited    {event.worker_id}: its account is at a limit until {clock_time(event.data['until'])}"


def _stopping(event: Event, _state: RunState) -> str:
    detail = event.data.get("detail")
    return f"stopping   {event.data['reason']}" + (f": {one_line(detail)}" if detail else "")


def _paused(event: Event, _state: RunState) -> str:
    return f"paused     {event.data['reason']}: {one_line(event.data['detail'])}; nothing new starts"


def _unpaused(event: Event, _state: RunState) -> str:
    return f"going on   after {duration(event.data['paused_s'])} ({event.data['reason']})"


def _woke(event: Event, _state: RunState) -> str:
    return f"woke       the machine slept for {duration(event.data['slept_s'])}; time limits leave that out"


def _gated(event: Event, _state: RunState) -> str | None:
    """Only what a person should know: a base that fails, and how the landing gets on."""
    data = event.data
    if data["on"] == "base":
        if data["passed"]:
            return None
        return f"warning    the base commit fails its own gate: {one_line(data['reason'] or '')}"
    what = f"{len(data['workers'])} together"
    if data["passed"]:
        facts = {"flaky": data["flaky"], "certified before": data["cached"]}
        notes = ", ".join(word for word, holds in facts.items() if holds)
        return f"gate       {what}: passed" + (f" ({notes})" if notes else "")
    return f"gate       {what}: {one_line(data['reason'] or 'failed')}"


def _landed(event: Event, _state: RunState) -> str:
    names = ", ".join(worker["worker_id"] for worker in event.data["workers"]) or "the target branch"
    return f"landing    {one_line(names)}"


def _held(event: Event, _state: RunState) -> str:
    return f"held       {one_line(event.data['worker_id'])}: {one_line(event.data['reason'])}"


def _resolving(event: Event, _state: RunState) -> str:
    data = event.data
    place = f"round {data['round']} of {data['of']}"
    files = ", ".join(map(one_line, data["files"][:5]))
    return f"resolving  {one_line(data['worker_id'])} {place}, by {one_line(data['agent'])}: {files}"


def _resolved(event: Event, _state: RunState) -> str:
    name, fault = one_line(event.data["worker_id"]), event.data["fault"]
    return f"unresolved {name}: {one_line(fault)}" if fault else f"resolved   {name}"


_LOG_LINES: dict[EventKind, Callable[[Event, RunState], str | None]] = {
    EventKind.ATTEMPT_STARTED: _started,
    EventKind.PERMISSION_DECIDED: _decided,
    EventKind.CONFLICTS_OVERLAP: _overlap,
    EventKind.WORKER_FINISHED: _finished,
    EventKind.WORKER_RETRYING: _retrying,
    EventKind.GATE_GIVEN_BACK: _given_back,
    EventKind.WORKER_WAITING: _waiting,
    EventKind.WORKER_LIVENESS: _liveness,
    EventKind.AGENT_LIMITED: _limited,
    EventKind.RUN_STOPPING: _stopping,
    EventKind.GATE_FINISHED: _gated,
    EventKind.LANDING_STEPPED: _landed,
    EventKind.LANDING_HELD: _held,
    EventKind.LANDING_RESOLVING: _resolving,
    EventKind.LANDING_RESOLVED: _resolved,
    EventKind.RUN_PAUSED: _paused,
    EventKind.RUN_UNPAUSED: _unpaused,
    EventKind.RUN_WOKE: _woke,
}
