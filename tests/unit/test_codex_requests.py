"""An approval is put to the policy in all its parts; what is not understood is put as something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.agents.codex_requests import COMMAND, FILE_CHANGE, permission_requests
from orchestrator.agents.codex_usage import UsageCount
from orchestrator.model.request import PermissionRequest, Tool
from orchestrator.model.result import Usage

WORK = Path("/work space/w1")


def _asked(method: str, params: dict[str, Any], item: Any = None) -> list[PermissionRequest]:
    return list(permission_requests(method, 3, params, item, WORK))


def _change(path: Any, kind: Any, **more: Any) -> dict[str, Any]:
    return {"path": path, "kind": kind, "diff": "d" * 20_000, **more}


def test_a_command_keeps_its_words_and_its_folder() -> None:
    [request] = _asked(
        COMMAND, {"command": "/bin/bash -lc 'x'", "cwd": "/a", "reason": "why", "kind": "command"}
    )
    assert (request.tool, request.command) == (Tool.SHELL, "/bin/bash -lc 'x'")
    assert request.arguments == {"cwd": "/a", "reason": "why"}


def test_a_host_is_asked_for_as_network() -> None:
    [request] = _asked(
        COMMAND, {"command": "x", "networkApprovalContext": {"host": "a.org", "protocol": "https"}}
    )
    assert (request.tool, request.arguments["host"]) == (Tool.NETWORK, "a.org")


def test_what_is_not_understood_is_something_else() -> None:
    for params in ({}, {"command": ["x"]}, {"command": "x", "kind": "writeStdin"}):
        assert [request.tool for request in _asked(COMMAND, params)] == [Tool.OTHER]
    bad = [None, {}, {"changes": "x"}, {"changes": []}, {"changes": [1]}]
    bad += [{"changes": [_change(1, {"type": "add"})]}, {"changes": [_change("a", {"type": "new"})]}]
    bad += [{"changes": [_change("a", {"type": ["add"]})]}]
    for item in bad:
        assert [request.tool for request in _asked(FILE_CHANGE, {}, item)] == [Tool.OTHER]


def test_a_root_is_never_granted_as_a_file() -> None:
    item = {"changes": [_change("/work space/w1/a", {"type": "add"})]}
    assert [request.tool for request in _asked(FILE_CHANGE, {"grantRoot": "/"}, item)] == [Tool.OTHER]


def test_every_path_of_a_change_is_asked_for() -> None:
    changes = [
        _change("/work space/w1/a", {"type": "add"}),
        _change("/work space/w1/b", {"type": "delete"}),
        _change("/work space/w1/c", {"type": "update", "move_path": "/etc/d"}),
        _change("/work space/w10/e", {"type": "update", "move_path": None}),
    ]
    requests = _asked(FILE_CHANGE, {"grantRoot": None}, {"changes": changes})
    assert [(request.tool, request.path) for request in requests] == [
        (Tool.WRITE, "a"),
        (Tool.DELETE, "b"),
        (Tool.DELETE, "c"),
        (Tool.WRITE, "/etc/d"),
        (Tool.WRITE, "/work space/w10/e"),
    ]
    assert len({request.id for request in requests}) == 5
    assert len(requests[0].arguments["diff"]) == 10_000


def _figures(total: tuple[int, int], last: tuple[int, int]) -> dict[str, Any]:
    names = ("inputTokens", "outputTokens")
    return {
        "tokenUsage": {
            "total": dict(zip(names, total, strict=True)),
            "last": dict(zip(names, last, strict=True)),
        }
    }


def test_a_new_thread_counts_from_nothing() -> None:
    count = UsageCount()
    assert count.usage() == Usage()
    count.add(_figures((100, 20), (100, 20)), ours=True)
    count.add(_figures((250, 30), (150, 10)), ours=True)
    assert count.usage() == Usage(input_tokens=250, output_tokens=30)


def test_the_past_of_a_thread_is_left_out_whether_it_is_told_or_not() -> None:
    told, untold = UsageCount(), UsageCount()
    told.add(_figures((1000, 200), (100, 20)), ours=False)
    assert told.usage() == Usage(input_tokens=0, output_tokens=0)
    for count in (told, untold):
        count.add(_figures((1100, 205), (100, 5)), ours=True)
        assert count.usage() == Usage(input_tokens=100, output_tokens=5)


def test_an_overflow_takes_nothing_back() -> None:
    count = UsageCount()
    count.add(_figures((100, 20), (100, 20)), ours=True)
    count.add(_figures((0, 0), (0, 0)), ours=True)
    count.add({"tokenUsage": "x"}, ours=True)
    assert count.usage() == Usage(input_tokens=100, output_tokens=20)
