"""The demo agent: a program that behaves like a real interactive coding CLI, by a script.

On a terminal it shows a banner, colours, a spinner that repaints itself and numbered dialogs; on
pipes it asks the same questions as single lines. It asks before it writes a file or runs a command,
and does what it is told. It ends with a summary and status 0, also when something was refused, as
the real ones do. It is the fault generator of the test-suite as well.

    python -I -S program.py [--prompt-file FILE] [--script FILE] [--file DECLARED]... [PROMPT...]

Without a prompt in its arguments it reads one from its input. The script is JSON, from `--script` or
from a block in the prompt that begins with ```demo and ends with ```. It is a list of steps; each is
an object with one key, or just the name where the value does not matter. Without a script it answers
a sum such as `17 + 25`, and writes each declared file with a placeholder.

| step           | value (defaults)                           | what happens                                 |
|----------------|--------------------------------------------|---------------------------------------------|
| say            | "text"                                     | a message; as the last step the final one    |
| work           | seconds, or {"seconds", "lines": []}       | spinner, and lines spread over the time      |
| write          | {"path", "text" or "copy", "ask": true}    | asks, then writes; copy: file of this folder |
| ask            | "command"                                  | asks, then runs it in the shell              |
| commit         | "message"                                  | commits what it wrote, in a git work tree    |
| expect         | "line"                                     | waits for a typed line; else exits with 1    |
| ask_unknown    | "question", or {"question", "options": []} | a dialog that no one knows; Enter or Esc     |
| usage          | {"input_tokens", "output_tokens", ...}     | what the summary tells; cost_usd as well     |
| slow_start     | seconds                                    | as a first step: nothing shows before        |
| no_output      |                                            | as a first step: nothing is written, ever    |
| write_outside  | {"path", "text", "ask": true}              | as write, meant for a path outside           |
| crash          | status, or signal such as "SEGV"           | ends at once                                 |
| hang           |                                            | no output, for ever                          |
| ignore_term    |                                            | from here on ignores TERM, INT and HUP       |
| flood          | bytes, or {"bytes", "to": "stderr"}        | that much text, as fast as it goes           |
| binary         | bytes                                      | random bytes, then split UTF-8               |
| spawn_children | {"count": 2, "seconds": 60, "pid_file"}    | children in its own process group            |
| daemonise      | {"pid_file", "seconds": 60, "hops": 0}     | a double-forked process, own session,        |
|                |                                            | no environment; each hop changes its pid     |
| hold_output    | {"pid_file", "seconds": 60, "hops": 0}     | the same, and it keeps the output open       |
| memory         | megabytes                                  | takes them and keeps them                    |

A `pid_file` gets one pid a line and is there before the next step begins.
"""

# pathlib would cost a fifth of the start-up.
# ruff: noqa: PTH100
from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the demo agent; return its exit status."""
    # Run by path, isolated, nothing is found but the standard library: add the package's own root.
    here = os.path.abspath(__file__)
    sys.path.append(here.rsplit(os.sep, 3)[0])
    from orchestrator.demo.conversation import converse  # noqa: PLC0415 (only now on the path)

    return converse(sys.argv[1:], here)


if __name__ == "__main__":
    sys.exit(main())
