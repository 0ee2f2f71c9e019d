"""Stands in for Claude Code where the real one cannot be made to misbehave: plays steps over its pipes.

Steps are a JSON list, in the file named as the first argument; all it hears goes into the second one.
`$opening` in a step stands for the id of the newest request that it heard.
"""

import json
import os
import signal
import sys
import time
from typing import Any


class Program:
    """The conversation so far."""

    def __init__(self, heard: str) -> None:
        self.heard = heard
        self.opening = ""

    def hear(self, kind: str) -> None:
        """Read until a message of that type."""
        while line := sys.stdin.readline():
            with open(self.heard, "a") as file:  # noqa: PTH123 (quick to start: no pathlib)
                file.write(line)
            message = json.loads(line)
            if message["type"] == "control_request":
                self.opening = message["request_id"]
            if message["type"] == kind:
                return

    def play(self, action: str, value: Any) -> None:
        """Do one step."""
        match action:
            case "hear":
                self.hear(value)
            case "say":
                self.write(json.dumps(value).replace("$opening", self.opening) + "\n")
            case "write":
                self.write(value)
            case "grow":
                text = "x" * value
                content = [{"type": "text", "text": text}]
                self.write(json.dumps({"type": "assistant", "message": {"content": content}}) + "\n")
            case "exit":
                sys.exit(value)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "wait_for":
                while not os.path.exists(value):  # noqa: PTH110 (no pathlib)
                    time.sleep(0.02)
            case "stay":
                time.sleep(600)

    def write(self, text: str) -> None:
        """Say something, at once."""
        sys.stdout.write(text)
        sys.stdout.flush()


def main() -> None:
    """Play all steps, then wait for the end of the input."""
    program = Program(sys.argv[2])
    with open(sys.argv[1]) as file:  # noqa: PTH123
        steps = json.load(file)
    for step in steps:
        [(action, value)] = step.items()
        program.play(action, value)
    program.hear("nothing")


if __name__ == "__main__":
    main()
