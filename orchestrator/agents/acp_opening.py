"""Opens a session with an ACP agent: version, login, new or continued session, mode and model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.agents.acp_rpc import AUTH_REQUIRED, Connection, RpcError
from orchestrator.agents.acp_settings import AcpSettings
from orchestrator.errors import AgentProtocolError
from orchestrator.ports import Session

PROTOCOL_VERSION = 1
#: An agent that does not answer one of these requests in this time is taken for hanging.
ANSWER_S = 90.0
#: Modes by these names ask before they act, best first.
_ASKING = ("default", "ask", "manual", "read-only")

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session that is ready for its prompt."""

    session_id: str
    continued: bool  #: it has a past


async def open_session(
    connection: Connection, settings: AcpSettings, session: Session, notice: Callable[[str], None]
) -> Opened:
    """Do all that comes before the prompt. Raises as `Connection.request` does."""
    opening = _Opening(connection, settings, session, notice)
    await opening.greet()
    opened, offer = await opening.session()
    await opening.choose(opened.session_id, offer)
    return opened


class _Opening:
    def __init__(
        self, connection: Connection, settings: AcpSettings, session: Session, notice: Callable[[str], None]
    ) -> None:
        self._connection, self._settings, self._session = connection, settings, session
        self._notice = notice
        self._hello: Answer = {}

    async def _ask(self, method: str, params: Answer) -> Answer:
        return await self._connection.request(method, params, limit_s=ANSWER_S)

    async def greet(self) -> None:
        """Agree on the protocol's version."""
        files = self._settings.client_files
        capabilities = {"fs": {"readTextFile": files, "writeTextFile": files}, "terminal": True}
        params = {
            "protocolVersion": PROTOCOL_VERSION,
            "clientCapabilities": capabilities,
            "clientInfo": {"name": "orchestrator", "title": "orchestrator", "version": "1"},
        }
        self._hello = await self._ask("initialize", params)
        version = self._hello.get("protocolVersion")
        if version != PROTOCOL_VERSION or isinstance(version, bool):
            raise AgentProtocolError(
                f"the agent speaks version {version!r:.40} of the Agent Client Protocol, "
                f"and only version {PROTOCOL_VERSION} is understood here"
            )

    async def session(self) -> tuple[Opened, Answer]:
        """Continue the session that is wanted, or begin one; log in where that is asked for."""
        try:
            return await self._session_as_it_is()
        except RpcError as err:
            method = self._login_method()
            if err.code != AUTH_REQUIRED or method is None:
                raise
            await self._ask("authenticate", {"methodId": method})
            return await self._session_as_it_is()

    async def _session_as_it_is(self) -> tuple[Opened, Answer]:
        where: dict[str, Any] = {"cwd": str(self._session.workspace), "mcpServers": []}
        resume_id = self._session.resume_id
        if resume_id is not None and (method := self._loading()):
            try:
                offer = await self._ask(method, {**where, "sessionId": resume_id})
                return Opened(session_id=resume_id, continued=True), offer
            except RpcError as err:
                if err.code == AUTH_REQUIRED:
                    raise
                self._notice(f"session {resume_id} could not be continued, a new one begins: {err.message}")
        elif resume_id is not None:
            self._notice("this agent cannot continue a session: a new one begins")
        offer = await self._ask("session/new", where)
        session_id = offer.get("sessionId")
        if not isinstance(session_id, str) or not session_id:
            raise AgentProtocolError("the agent broke its protocol: its new session has no id")
        return Opened(session_id=session_id, continued=False), offer

    def _loading(self) -> str | None:
        capabilities = self._hello.get("agentCapabilities")
        if not isinstance(capabilities, Mapping):
            return None
        if capabilities.get("loadSession") is True:
            return "session/load"
        sessions = capabilities.get("sessionCapabilities")
        return "session/resume" if isinstance(sessions, Mapping) and "resume" in sessions else None

    def _login_method(self) -> str | None:
        """Return a way to log in that needs no person: by a key that is there."""
        env = self._session.env
        offered = [method for method in self._hello.get("authMethods") or () if isinstance(method, Mapping)]
        ids = {method.get("id") for method in offered}
        if self._settings.auth_method in ids and any(env.get(key) for key in self._settings.keys):
            return self._settings.auth_method
        for method in offered:
            names = [var.get("name") for var in method.get("vars") or () if isinstance(var, Mapping)]
            if names and all(env.get(str(name)) for name in names) and isinstance(method.get("id"), str):
                return str(method["id"])
        return None

    async def choose(self, session_id: str, offer: Answer) -> None:
        """Choose the mode that asks, and the task's model."""
        wanted = (self._settings.mode,) if self._settings.mode else _ASKING
        mode = _Choice.of(offer, "mode")
        pick = next((name for name in wanted if name in mode.names), None)
        if pick is not None and pick != mode.current:
            await self._set(session_id, mode, pick)
        elif pick is None and mode.current is not None:
            self._notice(f"the agent stays in its mode `{mode.current}`: none is known to ask more often")
        if self._session.task.model and not self._settings.model_arguments:
            await self._choose_model(session_id, _Choice.of(offer, "model"), self._session.task.model)

    async def _choose_model(self, session_id: str, choice: _Choice, model: str) -> None:
        if model not in choice.names:
            offered = ", ".join(choice.names) or "none at all"
            raise RpcError(-32602, f"the agent does not offer the model `{model}`; it offers: {offered}")
        if model != choice.current:
            await self._set(session_id, choice, model)

    async def _set(self, session_id: str, choice: _Choice, value: str) -> None:
        if choice.config_id is not None:
            params = {"sessionId": session_id, "configId": choice.config_id, "value": value}
            await self._ask("session/set_config_option", params)
        else:
            params = {"sessionId": session_id, f"{choice.what}Id": value}
            await self._ask(f"session/set_{choice.what}", params)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What an agent lets us choose, in either of the two ways the protocol has for it."""

    what: str
    names: tuple[str, ...] = ()
    current: str | None = None
    config_id: str | None = None

    @classmethod
    def of(cls, offer: Answer, what: str) -> _Choice:
        group = offer.get(f"{what}s")
        if isinstance(group, Mapping):
            key = "id" if what == "mode" else "modelId"
            names = _texts(group.get(f"available{what.capitalize()}s"), key)
            return cls(what=what, names=names, current=_text(group.get(f"current{what.capitalize()}Id")))
        for option in offer.get("configOptions") or ():
            if isinstance(option, Mapping) and option.get("category") == what:
                names = _texts(option.get("options"), "value")
                current = _text(option.get("currentValue"))
                return cls(what=what, names=names, current=current, config_id=_text(option.get("id")))
        return cls(what=what)


def _texts(items: object, key: str) -> tuple[str, ...]:
    found = [item.get(key) for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return tuple(name for name in found if isinstance(name, str))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
