"""Runs inside the sandbox before the agent: 127.0.0.1:PORT leads to the proxy's socket. Standard library.

Arguments: port, socket, then the agent's command line, which replaces this process once the port is open.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from contextlib import suppress

_CHUNK = 65536


def main() -> None:
    port, path, *argv = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:  # the agent must not find a child that it never started
            _serve(listener, path)
        os._exit(0)
    os.wait()
    listener.close()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores these, and ignoring would be passed on
    try:
        os.execvp(argv[0], argv)  # noqa: S606 (an argument vector)
    except OSError as err:
        print(f"{argv[0]}: {err.strerror}", file=sys.stderr)
        os._exit(126 if isinstance(err, PermissionError) else 127)


def _serve(listener: socket.socket, path: str) -> None:
    """Let go of the agent's streams, so that their end is the agent's end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    while True:
        client, _ = listener.accept()
        onward = socket.socket(socket.AF_UNIX)
        try:
            onward.connect(path)
        except OSError:
            client.close()
            onward.close()
            continue
        for one, other in ((client, onward), (onward, client)):
            threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


main()
