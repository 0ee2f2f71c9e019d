"""The descriptors of one process before it starts: our ends, and those that the shim is given."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from orchestrator.sessions.terminal import open_terminal


@dataclass(slots=True, kw_only=True)
class Ends:
    life: socket.socket
    input: int
    output: int
    stderr: int | None = None
    theirs: list[int]  #: life line first, then standard input, output and error; ours to close once sent
    held: list[int] = field(default_factory=list)  #: a terminal's slave, to be closed once it has a user
    terminal: str | None = None


def open_ends(*, terminal: bool, stderr_apart: bool) -> Ends:
    """Open all or nothing. Raises OSError when descriptors run out."""
    ours, theirs = socket.socketpair()
    opened = [ours.detach(), theirs.detach()]
    try:
        ends = _open_terminal(opened) if terminal else _open_pipes(opened, stderr_apart=stderr_apart)
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    ends.life.setblocking(False)
    return ends


def _open_terminal(opened: list[int]) -> Ends:
    ours, theirs = opened
    master, slave, name = open_terminal()
    opened += (master, slave)
    copy = os.dup(master)
    life = socket.socket(fileno=ours)
    return Ends(life=life, input=copy, output=master, theirs=[theirs], held=[slave], terminal=name)


def _open_pipes(opened: list[int], *, stderr_apart: bool) -> Ends:
    ours, theirs = opened
    source, feed = _pipe(opened)
    out, sink = _pipe(opened)
    err, err_sink = _pipe(opened) if stderr_apart else (None, os.dup(sink))
    life = socket.socket(fileno=ours)
    return Ends(life=life, input=feed, output=out, stderr=err, theirs=[theirs, source, sink, err_sink])


def _pipe(opened: list[int]) -> tuple[int, int]:
    ends = os.pipe()
    opened += ends
    return ends
