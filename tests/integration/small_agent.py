"""A small coding agent: a program that asks a model, and an adapter that can be broken on purpose."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.agents.json_lines import JsonLines
from orchestrator.model.event import EventKind
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.request import PermissionRequest, Tool, Verdict
from orchestrator.model.result import Status, Usage
from orchestrator.model.task import Task
from orchestrator.ports import Session

PROGRAM = r"""
import json, os, pathlib, subprocess, sys, urllib.error, urllib.request

def hear():
    return json.loads(sys.stdin.readline())

def tell(**said):
    print(json.dumps(said), flush=True)

def use(block):
    given = block["input"]
    tell(ask=block["name"], id=block["id"], **given)
    answer = hear()
    if not answer["allow"]:
        return answer["reason"]
    if block["name"] == "Write":
        path = pathlib.Path(given["file_path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(given["content"])
        return "written"
    return subprocess.run(given["command"], shell=True, capture_output=True, text=True).stdout

start = hear()
saved = pathlib.Path(start["session"])
talk = json.loads(saved.read_text()) if saved.exists() else []
talk.append({"role": "user", "content": start["prompt"]})
tools, used = [{"name": "Write"}, {"name": "Bash"}], [0, 0]
while True:
    body = json.dumps({"model": "small", "messages": talk, "tools": tools}).encode()
    url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
    try:
        answer = json.load(urllib.request.urlopen(urllib.request.Request(url, body)))
    except urllib.error.HTTPError as error:
        tell(failed=error.code, message=json.load(error)["error"]["message"])
        break
    used = [used[0] + answer["usage"]["input_tokens"], used[1] + answer["usage"]["output_tokens"]]
    talk.append({"role": "assistant", "content": answer["content"]})
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    if not calls:
        saved.write_text(json.dumps(talk))
        tell(end=answer["content"][0]["text"], used=used, refused=answer["stop_reason"] == "refusal")
        break
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": use(call)} for call in calls]
    talk.append({"role": "user", "content": results})
"""


class SmallAgent:
    """Drives the program; each name in `faults` is one thing that it does wrong."""

    name = "small"
    variables = ("ANTHROPIC_BASE_URL",)

    def __init__(self, *faults: str) -> None:
        self._faults = faults

    def fault(self, task: Task) -> str | None:
        del task
        return None

    def look(self, env: Mapping[str, str]) -> Installation:
        del env
        return Installation(channel="pipes", program=Path(sys.executable))

    async def run(self, session: Session) -> Outcome:
        lines = JsonLines()
        session_id = session.resume_id or str(uuid.uuid4())
        if "forgets" in self._faults:
            session_id = str(uuid.uuid4())
        await lines.start(session, [sys.executable, "-I", "-S", "-c", PROGRAM], {})
        try:
            saved = session.config_dir / f"{session_id}.json"
            await lines.send({"prompt": session.task.prompt, "session": str(saved)})
            if "forgets" not in self._faults:
                session.emit(EventKind.AGENT_SESSION, session_id=session_id)
            return replace(await self._converse(session, lines), session_id=session_id)
        finally:
            lines.close()

    async def _converse(self, session: Session, lines: JsonLines) -> Outcome:
        refused: list[str] = []
        outcome = Outcome(status=Status.FAILED, error_kind=TurnEnd.CRASHED)
        while message := await lines.next():
            if "ask" in message:
                await lines.send(await self._answer(session, message, refused))
            elif "failed" in message:
                outcome = self._failed(message["failed"], message["message"])
            else:
                outcome = self._ended(message, refused)
        return replace(outcome, exit=lines.exit)

    async def _answer(self, session: Session, asked: Mapping[str, Any], refused: list[str]) -> dict[str, Any]:
        if "careless" in self._faults:
            return {"allow": True}
        kind = Tool.WRITE if asked["ask"] == "Write" else Tool.SHELL
        request = PermissionRequest(
            id=asked["id"], tool=kind, path=asked.get("file_path"), command=asked.get("command")
        )
        decision = await session.decide(request)
        if decision.verdict is Verdict.ALLOW:
            return {"allow": True}
        refused.append(decision.reason)
        return {"allow": False, "reason": "no" if "silent" in self._faults else decision.reason}

    def _failed(self, status: int, message: str) -> Outcome:
        if "cheerful" in self._faults:
            return Outcome(status=Status.SUCCEEDED)
        kind = TurnEnd.AUTH if status == 401 else TurnEnd.MODEL
        if "too long" in message:
            kind = TurnEnd.CONTEXT
        return Outcome(status=Status.FAILED, error_kind=kind, error_message=message)

    def _ended(self, message: Mapping[str, Any], refused: list[str]) -> Outcome:
        tokens = [1, 1] if "inventive" in self._faults else message["used"]
        usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
        done = Outcome(status=Status.SUCCEEDED, output=message["end"], usage=usage)
        if "cheerful" in self._faults:
            return done
        if message["refused"]:
            return replace(done, status=Status.FAILED, error_kind=TurnEnd.REFUSED)
        if not refused:
            return done
        told = "; ".join(refused)
        return replace(done, status=Status.REJECTED, error_kind=TurnEnd.DENIED, error_message=told)
