"""The self-test: every probe is blocked here, would succeed without a sandbox, and its outcome is kept."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.sandbox import choose, probes
from orchestrator.sandbox.selftest import run_selftest
from tests.integration.sandbox_fixtures import BWRAP, Cell, is_root, needs_bubblewrap

ROOT = Path(__file__).parents[2]


@needs_bubblewrap
def test_every_probe_is_blocked() -> None:
    assert BWRAP is not None
    outcome = run_selftest(BWRAP)
    assert outcome.passed and outcome.fault is None
    assert len(outcome.probes) >= 28
    assert [probe for probe in outcome.probes if not probe.blocked] == []


AS_NOBODY = """
from pathlib import Path
from orchestrator.sandbox.selftest import run_selftest
import sys
outcome = run_selftest(Path(sys.argv[1]))
print(len(outcome.probes), outcome.passed, outcome.fault)
"""


@needs_bubblewrap
@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_every_probe_is_blocked_for_another_user() -> None:
    system_python = Path("/usr/bin/python3")
    if not system_python.exists():
        pytest.skip("no Python that every user can run")
    done = subprocess.run(
        [str(system_python), "-c", AS_NOBODY, str(BWRAP)],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Permission denied" in done.stderr:
        pytest.skip("the source is not readable for every user")
    count, passed, fault = done.stdout.split(maxsplit=2)
    assert (passed, fault.strip()) == ("True", "None")
    assert int(count) >= 28


#: Those that harm nothing when they succeed.
SAFE = [
    *("write a visible folder", "write HOME", "read a key in HOME", "read our state"),
    *("read another attempt's files", "hard link an outer file", "TCP to this machine", "socket file"),
    *("abstract socket", "signal the orchestrator", "read its environment", "other roots in /proc"),
    *("remount /", "mount", "kill everything"),  # these are not tried there, which counts as open
]


def test_probes_get_through_where_nothing_stops_them(tmp_path: Path) -> None:
    for folder in ("home", "visible", "workspace"):
        (tmp_path / folder).mkdir()
    (tmp_path / "visible" / "file").write_text("x")
    (tmp_path / "key").write_text("x")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as path,
        socket.socket(socket.AF_UNIX) as abstract,
        tempfile.TemporaryDirectory() as short,
        subprocess.Popen(["sleep", "60"], env={"SECRET": "s3cr3t-of-ours"}) as victim,
    ):
        path.bind(f"{short}/s")
        path.listen()
        abstract.bind("\0orchestrator-test-abstract")
        abstract.listen()
        lures = {
            "home": str(tmp_path / "home"),
            "key": str(tmp_path / "key"),
            "state": str(tmp_path / "key"),
            "neighbour": str(tmp_path / "key"),
            "visible": str(tmp_path / "visible"),
            "workspace": str(tmp_path / "workspace"),
            "port": tcp.getsockname()[1],
            "socket": f"{short}/s",
            "abstract": "orchestrator-test-abstract",
            "victim": victim.pid,
            "secret": "s3cr3t-of-ours",
            "pid_namespace": str(Path("/proc/self/ns/pid").readlink()),
        }
        argv = [sys.executable, "-I", "-S", probes.__file__, json.dumps(lures), *SAFE]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=True)
        victim.kill()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [probe["name"] for probe in found if probe["blocked"]] == ["write HOME"]
    assert (tmp_path / "home" / ".bashrc").exists()  # which is how the caller tells


@needs_bubblewrap
def test_a_pass_is_remembered_and_anything_else_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BWRAP is not None
    first = choose.tested(BWRAP, tmp_path)
    record = tmp_path / "sandbox-selftest.json"
    kept = record.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.sandbox.choose.run_selftest", _never)
        assert choose.tested(BWRAP, tmp_path) == first
    for spoilt in (b"", b"[]", b'{"key": 1}', kept.replace(b'"key": "', b'"key": "0')):
        record.write_bytes(spoilt)
        assert choose.tested(BWRAP, tmp_path).passed
        assert json.loads(record.read_bytes())["key"] == json.loads(kept)["key"]


def _never(_: Path) -> None:
    raise AssertionError("tested again")


def test_a_program_that_confines_nothing_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bwrap` that ignores its options and runs the program: `auto` says so, `on` refuses."""
    fake = tmp_path / "bwrap"
    fake.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n')
    fake.chmod(0o755)
    outcome = run_selftest(fake)
    assert not outcome.passed
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    choice = choose.choose_sandbox("auto", state_home=tmp_path / "state")
    assert choice.bwrap is None and choice.reason
    assert not (tmp_path / "state").exists()
    with pytest.raises(InputError, match="cannot be kept here"):
        choose.choose_sandbox("on", state_home=tmp_path / "state")
    assert choose.choose_sandbox("off", state_home=tmp_path / "state").bwrap is None


@needs_bubblewrap
def test_an_agents_own_sandbox_works_inside(tmp_path: Path) -> None:
    """Without a fresh /proc always; with one only where root does not run us."""
    cell = Cell(tmp_path)
    own = f"{BWRAP} --ro-bind / / --dev /dev --unshare-user --unshare-pid --unshare-net --die-with-parent"
    fresh = f"{own} --proc /proc"
    done = {
        line: subprocess.run(
            cell.shell(f"{line} -- sh -c 'echo inner; exit 4'"),
            cwd=cell.workspace,
            env=cell.env,
            capture_output=True,
            timeout=30,
            check=False,
        )
        for line in (own, fresh)
    }
    assert (done[own].returncode, done[own].stdout) == (4, b"inner\n"), done[own].stderr
    if is_root():
        assert done[fresh].returncode == 1
    else:
        assert (done[fresh].returncode, done[fresh].stdout) == (4, b"inner\n"), done[fresh].stderr
