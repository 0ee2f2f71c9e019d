"""The channel `acp`: drives any program that speaks the Agent Client Protocol, version 1."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from orchestrator.agents.acp_client import Client
from orchestrator.agents.acp_files import write_text
from orchestrator.agents.acp_installation import look
from orchestrator.agents.acp_opening import Opened, open_session
from orchestrator.agents.acp_outcome import failed, judge_error, judge_stop, usage_of
from orchestrator.agents.acp_rpc import AgentEndedError, AgentSilentError, Connection, RpcError
from orchestrator.agents.acp_settings import AcpSettings
from orchestrator.agents.acp_updates import Updates
from orchestrator.agents.json_lines import JsonLines
from orchestrator.errors import AgentProtocolError, WorkspaceError
from orchestrator.model.event import EventKind
from orchestrator.model.installation import Installation
from orchestrator.model.outcome import Outcome, TurnEnd
from orchestrator.model.result import Usage
from orchestrator.model.task import Task
from orchestrator.model.transcript import Role
from orchestrator.ports import Session

#: How long the program may take to end by itself once nothing is left to do: it saves its session then.
_LEAVE_S = 3.0
#: An agent that says nothing for so long, while no tool of it runs and we owe it no answer, hangs.
SILENCE_S = 600.0


class AcpAgent:
    """One ACP agent, as its settings describe it."""

    def __init__(self, settings: AcpSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The agent's name."""
        return self._settings.name

    @property
    def variables(self) -> Sequence[str]:
        """The user's variables that its program needs."""
        return self._settings.variables

    def look(self, env: Mapping[str, str]) -> Installation:
        """Say what there is of it on this machine."""
        return look(self._settings, env)

    def fault(self, task: Task) -> str | None:
        """Say when its program is not there."""
        del task
        program = self._settings.command[0]
        if shutil.which(program, path=os.environ.get("PATH")):
            return None
        install = f"; {self._settings.install}" if self._settings.install else ""
        return f"agent `{self.name}` needs the program `{program}`, which is not installed{install}"

    async def run(self, session: Session) -> Outcome:
        """Carry the task out in one prompt."""
        await asyncio.to_thread(_lay_files, self._settings, session)
        lines = JsonLines()
        env = {
            key: value.replace("{config_dir}", str(session.config_dir))
            for key, value in self._settings.env.items()
        }
        await lines.start(session, _argv(self._settings, session.task.model), env)
        turn = _Turn(self._settings, session, lines)
        try:
            return await turn.carry_out()
        finally:
            await turn.close()


def _argv(settings: AcpSettings, model: str | None) -> list[str]:
    chosen = [part.replace("{model}", model) for part in settings.model_arguments] if model else []
    return [*settings.command, *chosen]


def _lay_files(settings: AcpSettings, session: Session) -> None:
    """The agent may have put links in its folder during an earlier attempt: follow none."""
    for path, text in settings.files(session.env, session.workspace).items():
        try:
            write_text(session.config_dir, PurePath(path).parts, text, mode=0o600)
        except (OSError, ValueError) as err:
            what = f"the settings of agent `{settings.name}` cannot be laid: {path}: {err}"
            raise WorkspaceError(what) from err


class _Turn:
    """One session of the agent's program, from its start to its end."""

    def __init__(self, settings: AcpSettings, session: Session, lines: JsonLines) -> None:
        self._settings, self._session, self._lines = settings, session, lines
        self._updates = Updates(session)
        self._session_id: str | None = None
        self._client = Client(
            session, self._updates, cancel=self._cancel, command_in_title=settings.command_in_title
        )
        self._connection = Connection(lines, self._client.answer, self._updates.hear)

    async def carry_out(self) -> Outcome:
        """Go through the whole conversation; every end of it is an outcome."""
        doing = f"agent `{self._settings.name}` could not be set up"
        try:
            opened = await open_session(self._connection, self._settings, self._session, self._updates.notice)
            self._session_id = opened.session_id
            self._session.emit(EventKind.AGENT_SESSION, session_id=opened.session_id)
            doing = "the agent's turn failed"
            outcome = self._judge(opened, await self._prompt())
        except RpcError as err:
            outcome = judge_error(err, doing=doing)
        except AgentSilentError as err:
            outcome = failed(TurnEnd.NO_RESPONSE, err.message)
        except AgentProtocolError as err:
            outcome = failed(TurnEnd.PROTOCOL, err.message)
        except AgentEndedError as err:
            end = self._lines.exit
            how = f": it {end.describe()}" if end else ""
            outcome = failed(TurnEnd.CRASHED, f"{err.message}{how}; its errors.log may say why")
        self._updates.flush()
        await self._leave()
        output = outcome.output or self._updates.last_message
        return replace(outcome, output=output, exit=self._lines.exit, session_id=self._session_id)

    async def _prompt(self) -> Mapping[str, Any]:
        text = self._session.task.prompt
        self._session.transcribe(Role.PROMPT, text)
        self._updates.listening = True
        params = {"sessionId": self._session_id, "prompt": [{"type": "text", "text": text}]}
        asking = asyncio.ensure_future(self._connection.request("session/prompt", params, final=True))
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=self._patience_s())
            answer = await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        self._updates.flush()
        return answer

    def _patience_s(self) -> float:
        """Return how long to wait for the next sign of life. Raises AgentSilentError when there was none."""
        now = asyncio.get_running_loop().time()
        if self._connection.busy or self._updates.tool_runs:
            return SILENCE_S
        left = self._connection.last_exchange + SILENCE_S - now
        if left <= 0:
            raise AgentSilentError(f"the agent has said nothing for {SILENCE_S:g} s, and no tool of it runs")
        return left

    def _judge(self, opened: Opened, answer: Mapping[str, Any]) -> Outcome:
        # Costs add up over a session: of one that was continued, this attempt's part is not known.
        cost = None if opened.continued else self._updates.cost_usd
        usage = usage_of(answer, cost) if self._settings.usage_is_whole else Usage(cost_usd=cost)
        if usage != Usage():
            self._session.emit(
                EventKind.AGENT_USAGE,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost_usd=usage.cost_usd,
                turns=usage.turns,
            )
        outcome = judge_stop(
            answer.get("stopReason"),
            self._client.refused,
            output=self._updates.last_message,
            did_something=self._updates.did_something,
        )
        return replace(outcome, usage=usage)

    async def _cancel(self) -> None:
        if self._session_id is not None:
            await self._connection.notify("session/cancel", {"sessionId": self._session_id})

    async def _leave(self) -> None:
        """Let the program end by itself, for a moment."""
        self._connection.end_turn()
        process = self._lines.process
        if process is not None and self._lines.exit is None and not self._connection.reading.done():
            await process.close_input()
            await asyncio.wait({self._connection.reading}, timeout=_LEAVE_S)

    async def close(self) -> None:
        """Forget the conversation."""
        self._client.terminals.close()
        await self._connection.close()
