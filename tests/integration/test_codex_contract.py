"""The installed Codex still says and takes what the adapter relies on, by its own schema."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.agents.codex_end import KIND_BY_WORD
from orchestrator.agents.codex_program import TESTED, find_program, look
from orchestrator.agents.codex_requests import APPROVALS, REFUSALS
from tests.integration.agent_fixtures import program

#: Answered as unknown: they concern logins that the adapter does not bring.
UNKNOWN = {"account/chatgptAuthTokens/refresh", "attestation/generate"}
#: What the adapter sends, with the keys that it uses.
SENT = {
    "InitializeParams": {"clientInfo", "capabilities"},
    "CommandExecParams": {"command", "cwd", "sandboxPolicy", "timeoutMs"},
    "ThreadStartParams": {"cwd", "approvalPolicy", "sandbox", "model"},
    "ThreadResumeParams": {"threadId", "cwd", "approvalPolicy", "sandbox", "model"},
    "TurnStartParams": {"threadId", "input"},
    "TurnSteerParams": {"threadId", "expectedTurnId", "input"},
}
#: What it reads.
HEARD = {
    "CommandExecutionRequestApprovalParams": {
        "itemId",
        "command",
        "cwd",
        "kind",
        "networkApprovalContext",
        "turnId",
    },
    "FileChangeRequestApprovalParams": {"itemId", "grantRoot", "turnId"},
    "FileUpdateChange": {"path", "kind", "diff"},
    "ThreadTokenUsageUpdatedNotification": {"threadId", "turnId", "tokenUsage"},
    "TokenUsageBreakdown": {"inputTokens", "outputTokens"},
    "ErrorNotification": {"error", "willRetry"},
    "TurnError": {"message", "codexErrorInfo", "additionalDetails"},
    "Turn": {"id", "status", "error"},
    "ServerRequestResolvedNotification": {"requestId"},
    "CommandExecResponse": {"exitCode"},
}
NOTIFICATIONS = {
    *("item/started", "item/completed", "item/agentMessage/delta", "thread/tokenUsage/updated"),
    *("turn/started", "turn/completed", "error", "warning", "configWarning", "serverRequest/resolved"),
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("schema")
    env = {"PATH": f"{program('codex').parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    native = find_program(env)
    assert native is not None
    argv = [str(native), "app-server", "generate-json-schema", "--out", str(folder)]
    subprocess.run(argv, env=env, check=True, capture_output=True, timeout=60)
    whole = json.loads((folder / "codex_app_server_protocol.schemas.json").read_text())
    definitions: Mapping[str, Any] = whole["definitions"]
    return {**definitions, **definitions["v2"]}


def _methods(schema: Mapping[str, Any], name: str) -> set[str]:
    return {method for each in schema[name]["oneOf"] for method in each["properties"]["method"]["enum"]}


def _words(definition: Any) -> set[str]:
    """Every fixed word of a definition."""
    if isinstance(definition, list):
        return set().union(*map(_words, definition))
    if not isinstance(definition, dict):
        return set()
    own = {word for word in definition.get("enum", ()) if isinstance(word, str)}
    return own.union(*map(_words, definition.values()))


def test_the_version_is_the_tested_one_and_the_program_the_native_one() -> None:
    found = look({"PATH": f"{program('codex').parent}:/usr/local/bin:/usr/bin:/bin"})
    assert found.version in TESTED
    assert found.program is not None
    assert found.program.suffix != ".js"


def test_it_asks_nothing_that_is_not_answered(schema: Mapping[str, Any]) -> None:
    assert _methods(schema, "ServerRequest") == {*APPROVALS, *REFUSALS, *UNKNOWN}


def test_it_tells_what_is_waited_for(schema: Mapping[str, Any]) -> None:
    assert _methods(schema, "ServerNotification") >= NOTIFICATIONS
    wanted = {"initialize", "command/exec", "thread/start", "thread/resume", "turn/start", "turn/steer"}
    assert _methods(schema, "ClientRequest") >= wanted


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent_is_enough_and_known(schema: Mapping[str, Any], name: str) -> None:
    definition = schema[name]
    assert set(definition["properties"]) >= SENT[name]
    assert set(definition.get("required", ())) <= SENT[name]


@pytest.mark.parametrize("name", HEARD)
def test_what_is_heard_is_there(schema: Mapping[str, Any], name: str) -> None:
    assert set(schema[name]["properties"]) >= HEARD[name]


def test_the_words_are_the_same(schema: Mapping[str, Any]) -> None:
    for decision in ("CommandExecutionApprovalDecision", "FileChangeApprovalDecision"):
        assert _words(schema[decision]) >= {"accept", "decline"}
    assert "untrusted" in _words(schema["AskForApproval"])
    assert _words(schema["SandboxMode"]) >= {"workspace-write", "danger-full-access"}
    assert "workspaceWrite" in _words(schema["SandboxPolicy"])
    assert _words(schema["TurnStatus"]) == {"completed", "interrupted", "failed", "inProgress"}
    ran = {"inProgress", "completed", "failed", "declined"}
    assert _words(schema["CommandExecutionStatus"]) == _words(schema["PatchApplyStatus"]) == ran
    assert _words(schema["PatchChangeKind"]) == {"add", "delete", "update"}
    assert _words(schema["CodexErrorInfo"]) >= set(KIND_BY_WORD)
    assert {"commandExecution", "fileChange", "agentMessage", "reasoning"} <= _words(schema["ThreadItem"])
