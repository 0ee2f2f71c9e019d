"""A small app-server for tests: `codex app-server`, with the scenario in $SCENARIO."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

THREAD, TURN = "thread-1", "turn-1"
got: list[dict[str, Any]] = []  # everything that came, in order


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tell(method: str, **params: Any) -> None:
    send(method=method, params={"threadId": THREAD, "turnId": TURN, **params})


def receive(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        got.append(json.loads(line))
        if wanted(got[-1]):
            return got[-1]


def call(method: str, **result: Any) -> None:
    send(id=receive(lambda message: message.get("method") == method)["id"], result=result)


def answer_to(request_id: Any) -> dict[str, Any]:
    """The answer may have come before that to another request."""

    def wanted(message: dict[str, Any]) -> bool:
        return message.get("id") == request_id and "method" not in message

    return next(filter(wanted, got), None) or receive(wanted)


def command(name: str, text: str, status: str) -> dict[str, Any]:
    return {"type": "commandExecution", "id": name, "command": text, "status": status, "exitCode": 0}


def ask(request_id: Any, item_id: str, text: str) -> None:
    tell("item/started", item=command(item_id, text, "inProgress"))
    params = {"threadId": THREAD, "turnId": TURN, "itemId": item_id, "command": text, "kind": "command"}
    send(id=request_id, method="item/commandExecution/requestApproval", params=params)


def say(text: str) -> None:
    tell("item/completed", item={"type": "agentMessage", "id": "m", "text": text})


def end(status: str = "completed", error: Any = None) -> None:
    tell("turn/completed", turn={"id": TURN, "status": status, "error": error})


def garbage() -> None:
    sys.stdout.write("thread 'main' panicked at nothing\n")
    sys.stdout.flush()
    time.sleep(60)


def huge() -> None:
    say("x" * 50_000_000)
    end()


def cut() -> None:
    sys.stdout.write('{"method": "turn/comp')
    sys.stdout.flush()
    os._exit(3)


def two() -> None:
    ask(0, "a", "touch a")
    ask(1, "b", "touch b")
    second, first = answer_to(1), answer_to(0)
    for name, heard in (("a", first), ("b", second)):
        ran = heard["result"]["decision"] == "accept"
        tell("item/completed", item=command(name, f"touch {name}", "completed" if ran else "declined"))
    end()


def after_the_end() -> None:
    say("done")
    end()
    ask(7, "late", "touch late")
    sys.stdin.read()


def withdrawn() -> None:
    ask(0, "slow", "touch slow")
    tell("serverRequest/resolved", requestId=0)
    tell("item/completed", item=command("slow", "touch slow", "declined"))
    ask(1, "next", "touch next")
    answer_to(1)
    tell("item/completed", item=command("next", "touch next", "completed"))
    say(json.dumps([message["id"] for message in got if "result" in message]))
    end()


def unasked() -> None:
    tell("item/started", item=command("x", "rm -r all", "inProgress"))
    tell("item/completed", item=command("x", "rm -r all", "completed"))
    end()


def others() -> None:
    methods = [
        "item/permissions/requestApproval",
        "item/tool/requestUserInput",
        "mcpServer/elicitation/request",
    ]
    methods += ["item/tool/call", "applyPatchApproval", "execCommandApproval"]
    methods += ["account/chatgptAuthTokens/refresh", "attestation/generate", "never/heard/of"]
    answers = []
    for number, method in enumerate(methods):
        send(id=f"s{number}", method=method, params={})
        answers.append(answer_to(f"s{number}"))
    say(json.dumps([answer.get("result", "error") for answer in answers]))
    end()


def silent() -> None:
    sys.stdin.read()


def retrying() -> None:
    error = {"message": "Reconnecting... waiting for network", "codexErrorInfo": None}
    while True:
        tell("error", error=error, willRetry=True)
        time.sleep(0.05)


def strange_end() -> None:
    end("exploded")


def interrupted() -> None:
    end("interrupted")


def crash() -> None:
    say("so far")
    os.abort()


def called(number: Any) -> None:
    receive(lambda message: message.get("id") == number and "method" in message)


def replay(record: str) -> None:
    """Say what Codex once said, each answer and what followed one only when its time has come."""
    for line in record.replace("@WORKSPACE@", str(Path.cwd())).splitlines():
        message = json.loads(line)
        if "id" in message and "method" not in message:
            called(message["id"])
        if message.get("method") == "serverRequest/resolved":
            answer_to(message["params"]["requestId"])
        send(**message)


def main() -> None:
    scenario = os.environ["SCENARIO"]
    if scenario.endswith(".jsonl"):
        replay(Path(scenario).read_text())
        sys.stdin.read()
        return
    if scenario == "mute":
        silent()
    call("initialize", userAgent="fake")
    if scenario != "in_ours":
        call("command/exec", exitCode=1 if scenario == "no_sandbox" else 0, stdout="", stderr="")
    policy = "never" if scenario == "reckless" else "untrusted"
    call("thread/start", thread={"id": THREAD}, approvalPolicy=policy)
    call("turn/start", turn={"id": TURN})
    if scenario in {"no_sandbox", "in_ours"}:
        say(next(message["params"]["sandbox"] for message in got if message.get("method") == "thread/start"))
        end()
    else:
        globals()[scenario]()
    sys.stdin.read()


if __name__ == "__main__":
    main()
