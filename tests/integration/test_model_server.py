"""The scripted model server, by plain HTTP and by the real programs."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from orchestrator.conformance.model_server import ModelServer
from orchestrator.conformance.script import Failure, Script, Step, prompt_for
from tests.integration.agent_fixtures import real_agents

HELLO: Script = (
    Step(say="First a file.", write=("a.txt", "one\n"), input_tokens=1000, output_tokens=50),
    Step(shell="touch b.txt", also=(Step(shell="touch c.txt"),)),
    Step(say="All done, é included."),
)
ANTHROPIC, RESPONSES, CHAT = "/v1/messages", "/v1/responses", "/v1/chat/completions"
GEMINI = "/v1beta/models/some-model:generateContent"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer({"hello": HELLO}) as opened:
        yield opened


def ask(server: ModelServer, path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), {"x-api-key": "very-secret", "authorization": "x"})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def told(server: ModelServer, path: str, body: Any) -> Any:
    status, _, data = ask(server, path, body)
    assert status == 200, data
    return json.loads(data)


def streamed(data: bytes) -> list[Any]:
    lines = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def messages(*content: Any, tools: tuple[str, ...] = ("Write", "Bash"), **more: Any) -> dict[str, Any]:
    """An Anthropic request of turns that alternate between user and assistant."""
    roles = ("user", "assistant")
    turns = [{"role": roles[place % 2], "content": text} for place, text in enumerate(content)]
    return {"model": "m", "messages": turns, "tools": [{"name": name} for name in tools], **more}


def test_a_conversation_is_played_from_what_the_client_sends(server: ModelServer) -> None:
    talk: list[Any] = [prompt_for("hello")]
    first = told(server, ANTHROPIC, messages(*talk))
    assert first["stop_reason"] == "tool_use"
    assert first["content"][0] == {"type": "text", "text": "First a file."}
    assert first["content"][1]["name"] == "Write"
    assert first["content"][1]["input"] == {"file_path": "a.txt", "content": "one\n"}
    assert (first["usage"]["input_tokens"], first["usage"]["output_tokens"]) == (1000, 50)

    talk += [first["content"], [result_of(first["content"][1])]]
    second = told(server, ANTHROPIC, messages(*talk))
    assert [block["input"]["command"] for block in second["content"]] == ["touch b.txt", "touch c.txt"]

    talk += [second["content"], [result_of(block) for block in second["content"]]]
    third = told(server, ANTHROPIC, messages(*talk))
    assert (third["stop_reason"], third["content"][0]["text"]) == ("end_turn", "All done, é included.")
    assert [seen.step for seen in server.requests_of("hello")] == [0, 1, 2]
    assert server.requests[-1].request.results() == ("did Write", "did Bash", "did Bash")


def result_of(block: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": block["id"], "content": f"did {block['name']}"}


def test_a_new_prompt_in_the_same_conversation_starts_its_own_script(server: ModelServer) -> None:
    server.scripts["again"] = [Step(say="Second script.")]
    answer = told(server, ANTHROPIC, messages(prompt_for("hello"), "First a file.", prompt_for("again")))
    assert answer["content"][0]["text"] == "Second script."


def test_no_key_is_remembered(server: ModelServer) -> None:
    told(server, ANTHROPIC, messages(prompt_for("hello")))
    assert "very-secret" not in repr(server.requests)


def test_responses_keep_a_turn_together_whose_results_stand_between_its_calls(server: ModelServer) -> None:
    tools = [{"type": "function", "name": "exec_command"}]
    talk: list[Any] = [{"type": "message", "role": "user", "content": prompt_for("hello")}]
    first = told(server, RESPONSES, {"model": "m", "input": talk, "tools": tools})
    assert "*** Add File: a.txt\n+one" in json.loads(first["output"][1]["arguments"])["cmd"]
    talk += [*first["output"], output_of(first["output"][1])]
    second = told(server, RESPONSES, {"model": "m", "input": talk, "tools": tools})
    assert [json.loads(call["arguments"])["cmd"] for call in second["output"]] == [
        "touch b.txt",
        "touch c.txt",
    ]
    for call in second["output"]:
        talk += [call, output_of(call)]
    third = told(server, RESPONSES, {"model": "m", "input": talk, "tools": tools})
    assert third["output"][0]["content"][0]["text"] == "All done, é included."


def output_of(call: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}


def test_chat_and_gemini_name_their_own_tools(server: ModelServer) -> None:
    functions = [{"type": "function", "function": {"name": "write"}}]
    asked = {"role": "user", "content": prompt_for("hello")}
    chat = told(server, CHAT, {"model": "m", "messages": [asked], "tools": functions})
    call = chat["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == (
        "write",
        {"filePath": "a.txt", "content": "one\n"},
    )
    declared = [{"functionDeclarations": [{"name": "write_file"}]}]
    contents = [{"role": "user", "parts": [{"text": prompt_for("hello")}]}]
    gemini = told(server, GEMINI, {"contents": contents, "tools": declared})
    parts = gemini["candidates"][0]["content"]["parts"]
    assert parts[1]["functionCall"]["args"] == {"file_path": "a.txt", "content": "one\n"}
    assert server.requests[-1].request.model == "some-model"


def test_every_api_streams_what_it_says_at_once(server: ModelServer) -> None:
    server.scripts["say"] = [Step(say="a sentence of some length, é included")]
    prompt = prompt_for("say")
    asked = [{"role": "user", "content": prompt}]
    _, _, data = ask(server, ANTHROPIC, messages(prompt, stream=True))
    pieces = [event["delta"].get("text", "") for event in streamed(data) if "delta" in event]
    assert "".join(pieces) == "a sentence of some length, é included"
    assert len(pieces) > 2
    _, _, data = ask(server, RESPONSES, {"model": "m", "input": asked, "stream": True})
    assert streamed(data)[-1]["type"] == "response.completed"
    _, _, data = ask(server, CHAT, {"model": "m", "messages": asked, "stream": True})
    assert data.endswith(b"data: [DONE]\n\n")
    contents = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    _, _, data = ask(server, GEMINI.replace("generate", "streamGenerate"), contents)
    assert streamed(data)[-1]["candidates"][0]["finishReason"] == "STOP"


def test_a_clients_own_questions_get_an_answer_of_the_form_they_want(server: ModelServer) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    wanted = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    title = told(server, ANTHROPIC, messages(prompt_for("hello"), tools=(), **wanted))
    assert json.loads(title["content"][0]["text"]) == {"title": "ok"}
    assert told(server, f"{ANTHROPIC}/count_tokens", {})["input_tokens"] > 0
    assert server.requests_of("hello") == []


def test_failures_are_worded_as_the_api_does_and_end_when_they_are_spent(server: ModelServer) -> None:
    limit = Failure(status=429, message="slow down", headers={"retry-after": "7"}, times=1)
    server.scripts["limited"] = [Step(failure=limit, say="fine now")]
    status, headers, data = ask(server, ANTHROPIC, messages(prompt_for("limited")))
    assert (status, headers["retry-after"]) == (429, "7")
    assert json.loads(data)["error"] == {"type": "rate_limit_error", "message": "slow down"}
    assert told(server, ANTHROPIC, messages(prompt_for("limited")))["content"][0]["text"] == "fine now"
    other = told(server, CHAT, {"messages": [{"role": "user", "content": prompt_for("hello")}]})
    assert other["choices"][0]["message"]["content"] == "Scripted session"


def test_a_conversation_may_fail_by_itself(server: ModelServer) -> None:
    """What follows the slash tells two conversations of one script apart."""
    server.scripts["once"] = [Step(failure=Failure(status=500, times=1), say="fine")]
    for name in ("once/a", "once/b"):
        assert ask(server, ANTHROPIC, messages(prompt_for(name)))[0] == 500
        assert ask(server, ANTHROPIC, messages(prompt_for(name)))[0] == 200


@pytest.mark.parametrize(
    ("stop", "reason"), [("refusal", "refusal"), ("length", "max_tokens"), ("context", None)]
)
def test_a_turn_may_end_badly(server: ModelServer, stop: Any, reason: str | None) -> None:
    server.scripts["bad"] = [Step(stop=stop)]
    status, _, data = ask(server, ANTHROPIC, messages(prompt_for("bad")))
    answer = json.loads(data)
    if reason is None:
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
        assert "prompt is too long" in answer["error"]["message"]
    else:
        assert answer["stop_reason"] == reason


def test_a_stream_may_be_cut_in_the_middle(server: ModelServer) -> None:
    server.scripts["cut"] = [Step(say="never heard to its end", cut=True)]
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(server, ANTHROPIC, messages(prompt_for("cut"), stream=True))


def test_sixteen_clients_are_served_at_once_and_cut_off_at_the_end() -> None:
    ends: list[type[BaseException]] = []

    def wait_for_ever(opened: ModelServer, number: int) -> None:
        try:
            ask(opened, ANTHROPIC, messages(prompt_for(f"hang/{number}")))
        except (http.client.HTTPException, ConnectionError) as err:
            ends.append(type(err))

    with ModelServer({"hang": [Step(hang=True)], "hello": HELLO}) as opened:
        clients = [threading.Thread(target=wait_for_ever, args=(opened, number)) for number in range(16)]
        for client in clients:
            client.start()
        assert opened.wait_for(lambda seen: len(seen) == 16)
        assert told(opened, ANTHROPIC, messages(prompt_for("hello")))["stop_reason"] == "tool_use"
    for client in clients:
        client.join(10)
    assert len(ends) == 16


def test_what_no_api_has_is_not_found_and_bad_requests_are_answered(server: ModelServer) -> None:
    assert ask(server, "/v1/somewhere", {})[0] == 404
    for path in (ANTHROPIC, RESPONSES, CHAT, GEMINI):
        assert ask(server, path, [1, 2])[0] == 200


def test_the_real_claude_code_is_driven_to_its_end(tmp_path: Path) -> None:
    with real_agents(tmp_path, "claude", scripts={"hello": HELLO}) as model:
        argv = ["claude", "-p", prompt_for("hello"), "--output-format", "json"]
        argv += ["--permission-mode", "acceptEdits", "--allowedTools", "Bash(touch *)"]
        workspace = tmp_path / "work"
        workspace.mkdir()
        quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
        done = run_program(argv, workspace, quiet)
        assert done["result"] == "All done, é included."
        assert done["usage"]["input_tokens"] == 1200
        assert sorted(path.name for path in workspace.glob("*.txt")) == ["a.txt", "b.txt", "c.txt"]
        assert [seen.step for seen in model.requests_of("hello")] == [0, 1, 2]


def run_program(argv: list[str], workspace: Path, more: dict[str, str]) -> Any:
    done = subprocess.run(
        argv,
        cwd=workspace,
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)
