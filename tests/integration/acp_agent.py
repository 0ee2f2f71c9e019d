"""A small ACP agent for tests: `python acp_agent.py SCENARIO`. The scenario decides, not the prompt."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

SESSION = "fake-session"
OPTIONS = [
    {"optionId": "ever", "name": "Always", "kind": "allow_always"},
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
    {"optionId": "never", "name": "Never", "kind": "reject_always"},
]
MODES = {"currentModeId": "yolo", "availableModes": [{"id": "default"}, {"id": "yolo"}]}
MODELS = {"currentModelId": "small", "availableModels": [{"modelId": "small"}, {"modelId": "big"}]}

got: list[dict[str, Any]] = []  # everything that came, in order
prompt_id: Any = None


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def take() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    got.append(message)
    return message


def update(kind: str, **values: Any) -> None:
    send(method="session/update", params={"sessionId": SESSION, "update": {"sessionUpdate": kind, **values}})


def say(text: str, kind: str = "agent_message_chunk") -> None:
    update(kind, content={"type": "text", "text": text})


def ask(request_id: Any, method: str, **params: Any) -> dict[str, Any]:
    """Ask the client, and wait for the answer to this question."""
    send(id=request_id, method=method, params={"sessionId": SESSION, **params})
    while True:
        message = take()
        if "method" not in message and message["id"] == request_id:
            return message


def permit(request_id: Any, call: dict[str, Any], options: Any = OPTIONS) -> Any:
    call = {"toolCallId": f"call-{request_id}", "title": "a call", **call}
    answer = ask(request_id, "session/request_permission", toolCall=call, options=options)
    return answer["result"]["outcome"].get("optionId", "cancelled")


def end(reason: str = "end_turn", **more: Any) -> None:
    send(id=prompt_id, result={"stopReason": reason, **more})


def here(name: str) -> str:
    return os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118


def work() -> None:
    """Say, think, plan, ask for a write and a command, and do both."""
    say("hmm", "agent_thought_chunk")
    update("plan", entries=[{"content": "write", "priority": "high", "status": "pending"}])
    say("I wri")
    say("te.")
    diff = {"type": "diff", "path": here("hello.txt"), "oldText": None, "newText": "hello\n"}
    chosen = [permit(7, {"kind": "edit", "title": "Write hello.txt", "content": [diff]})]
    if chosen[0] == "yes":
        with open("hello.txt", "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("hello\n")
    done = {"type": "content", "content": {"type": "text", "text": "written"}}
    update("tool_call_update", toolCallId="call-7", status="completed", content=[done])
    chosen.append(permit("eight", {"kind": "execute", "rawInput": {"command": "touch ran.txt"}}))
    update("usage_update", used=1, size=2, cost={"amount": 0.25, "currency": "USD"})
    say(f"chosen: {chosen}")
    end(usage={"inputTokens": 300, "outputTokens": 60, "totalTokens": 360})


def through_client() -> None:
    """Write, read and run through the client, each without asking first."""
    told = [ask(1, "fs/write_text_file", path=here("new/deep.txt"), content="one\ntwo\nthree\n")]
    told.append(ask(2, "fs/read_text_file", path=here("new/deep.txt"), line=2, limit=1))
    told.append(ask(3, "terminal/create", command="cat", args=["deep.txt"], cwd=here("new")))
    terminal = told[-1].get("result", {}).get("terminalId")
    told.append(ask(4, "terminal/wait_for_exit", terminalId=terminal))
    told.append(ask(5, "terminal/output", terminalId=terminal))
    told.append(ask(6, "terminal/release", terminalId=terminal))
    told.append(ask(7, "terminal/output", terminalId=terminal))
    say(json.dumps([message.get("result", message.get("error")) for message in told]))
    end()


def outside() -> None:
    """Try to leave the workspace through the client."""
    os.symlink("/etc", "link")  # noqa: PTH211
    paths = ["/etc/hostname", here("../outside.txt"), here("link/hostname"), here("link/new.txt")]
    told = [ask(number, "fs/read_text_file", path=path) for number, path in enumerate(paths[:3])]
    told += [ask(number, "fs/write_text_file", path=path, content="x") for number, path in enumerate(paths)]
    told.append(ask(20, "terminal/create", command="ls", cwd="/etc"))
    say(" ".join("error" if "error" in message else "done" for message in told))
    end()


def asks_once() -> None:
    """Ask for a write and for a command, and then let the client do just those."""
    path = here("hello.txt")
    diff = {"type": "diff", "path": path, "oldText": None, "newText": "hello\n"}
    permit(1, {"kind": "edit", "content": [diff]})
    ask(2, "fs/write_text_file", path=path, content="hello\n")
    permit(3, {"kind": "execute", "rawInput": {"command": "true"}})
    ask(4, "terminal/create", command="true")
    ask(5, "fs/write_text_file", path=path, content="something else\n")
    say("done")
    end()


def kills() -> None:
    """Start a command that never ends, and stop it."""
    terminal = ask(1, "terminal/create", command="sleep 600; true", outputByteLimit=5)["result"]["terminalId"]
    running = ask(2, "terminal/output", terminalId=terminal)["result"]
    ask(3, "terminal/kill", terminalId=terminal)
    ended = ask(4, "terminal/output", terminalId=terminal)["result"]
    say(json.dumps([running, ended]))
    end()


def two_at_once() -> None:
    """Ask twice before reading an answer; the second question is answered first."""
    for number in (1, 2):
        call = {"toolCallId": f"c{number}", "kind": "execute", "rawInput": {"command": f"echo {number}"}}
        send(
            id=number,
            method="session/request_permission",
            params={"sessionId": SESSION, "toolCall": call, "options": OPTIONS},
        )
    order = [take()["id"], take()["id"]]
    say(f"answered {order}")
    end()


def strange_ids() -> None:
    """Ask with ids of every JSON type, for methods that nobody knows."""
    told = []
    for request_id in (None, 0, -1, 1.5, "x", "", True, [1], {"a": 1}):
        answer = ask(request_id, "fs/no_such_method")
        told.append([answer["id"], answer["error"]["code"]])
    say(json.dumps(told))
    end()


def bad_parameters() -> None:
    """Ask with parameters that are wrong in many ways."""
    told = [
        ask(1, "fs/read_text_file"),
        ask(2, "fs/read_text_file", path="\0"),
        ask(3, "fs/read_text_file", path=here("missing")),
        ask(4, "fs/write_text_file", path=here("x")),
        ask(5, "fs/write_text_file", path=os.getcwd(), content="x"),  # noqa: PTH109
        ask(6, "terminal/create"),
        ask(7, "terminal/create", command="ls", args=[1]),
        ask(8, "terminal/create", command="ls", env=[{"name": "A B", "value": "x"}]),
        ask(9, "terminal/output", terminalId=["x"]),
        ask(10, "session/request_permission", options=OPTIONS),
    ]
    send(id=11, method="fs/read_text_file", params=[1])
    told.append(take())
    send(id=12, method=13, params={})
    told.append(take())
    say(json.dumps([message["error"]["code"] for message in told]))
    end()


def after_the_end() -> None:
    """Ask for a write when the turn is over."""
    say("done")
    end()
    ask(1, "fs/write_text_file", path=here("late.txt"), content="late")


def never_answered() -> None:
    """Ask, and end the turn without waiting for the answer."""
    call = {"toolCallId": "c", "kind": "execute", "rawInput": {"command": "echo wait"}}
    params = {"sessionId": SESSION, "toolCall": call, "options": OPTIONS}
    send(id=1, method="session/request_permission", params=params)
    say("did not wait")
    end()


def no_way_out() -> None:
    """Offer only answers that hold for ever."""
    chosen = permit(1, {"kind": "execute", "rawInput": {"command": "ls"}}, [OPTIONS[0], OPTIONS[3]])
    say(f"{chosen} {got[-2]['method']}")
    end("cancelled")


def noisy() -> None:
    """Fill standard error beyond any pipe, and say 50 MB in one message."""
    sys.stderr.write("noise " * 200_000)
    say("x" * 50_000_000)
    end()


def dies() -> None:
    """End in the middle of a message."""
    sys.stdout.write('{"jsonrpc": "2.0", "method": "session/upd')
    sys.stdout.flush()
    os._exit(3)


def garbage() -> None:
    """Say what is no message."""
    sys.stdout.write("Warning: this is no JSON\n")
    sys.stdout.flush()
    time.sleep(600)


def fail(code: int, message: str, data: Any = None) -> Callable[[], None]:
    def failing() -> None:
        send(id=prompt_id, error={"code": code, "message": message, "data": data})

    return failing


def stop(reason: str) -> Callable[[], None]:
    def stopping() -> None:
        say("so far")
        end(reason)

    return stopping


def unknown_answer() -> None:
    send(id=999, result={})
    time.sleep(600)


def no_result() -> None:
    send(id=prompt_id)
    time.sleep(600)


def tells_past() -> None:
    say(f"methods: {[message.get('method') for message in got]}")
    end(usage={"inputTokens": 5, "outputTokens": 6, "totalTokens": 11})


TURNS: dict[str, Callable[[], None]] = {
    "work": work,
    "through_client": through_client,
    "outside": outside,
    "asks_once": asks_once,
    "kills": kills,
    "two_at_once": two_at_once,
    "strange_ids": strange_ids,
    "bad_parameters": bad_parameters,
    "after_the_end": after_the_end,
    "never_answered": never_answered,
    "no_way_out": no_way_out,
    "noisy": noisy,
    "dies": dies,
    "garbage": garbage,
    "unknown_answer": unknown_answer,
    "no_result": no_result,
    "tells_past": tells_past,
    "cannot_load": tells_past,
    "login": tells_past,
    "silent": lambda: time.sleep(600),
    "nothing_said": end,
    "max_tokens": stop("max_tokens"),
    "max_turn_requests": stop("max_turn_requests"),
    "refusal": stop("refusal"),
    "cancelled": stop("cancelled"),
    "odd_reason": stop("bored"),
    "limited": fail(429, "Rate limit exceeded.", {"retryDelay": "30s"}),
    "unauthorised": fail(401, "API key not valid. Please pass a valid API key."),
    "server_error": fail(500, "the model is on fire"),
    "internal": fail(-32603, "Internal error"),
    "bad_request": fail(-32602, "Invalid params"),
}


def open_session(scenario: str, message: dict[str, Any]) -> None:
    """Answer what comes before the prompt."""
    match message["method"]:
        case "initialize":
            version = 2 if scenario == "version_2" else 1
            login = [{"id": "by-key", "vars": [{"name": "FAKE_KEY"}]}, {"id": "by-browser"}]
            capabilities = {"loadSession": scenario != "work"}
            result = {"protocolVersion": version, "agentCapabilities": capabilities, "authMethods": login}
            send(id=message["id"], result=result)
        case "session/load" if scenario == "cannot_load":
            send(id=message["id"], error={"code": -32603, "message": "No previous sessions found"})
        case "session/load":
            say("this was said long ago")
            send(id=message["id"], result={"modes": MODES, "models": MODELS})
        case "session/new" if scenario == "login" and not logged_in():
            send(id=message["id"], error={"code": -32000, "message": "Authentication required"})
        case "session/new":
            send(id=message["id"], result={"sessionId": SESSION, "modes": MODES, "models": MODELS})
        case _:
            send(id=message["id"], result={})


def logged_in() -> bool:
    return any(
        message.get("method") == "authenticate" and message["params"]["methodId"] == "by-key"
        for message in got
    )


def main() -> None:
    global prompt_id  # noqa: PLW0603
    scenario = sys.argv[1]
    if scenario == "mute":
        time.sleep(600)
    while True:
        message = take()
        if message.get("method") == "session/prompt":
            prompt_id = message["id"]
            TURNS[scenario]()
        elif "method" in message and "id" in message:
            open_session(scenario, message)


if __name__ == "__main__":
    main()
