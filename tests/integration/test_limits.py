"""Limits of one worker: real processes that use too much, beside others that must not notice."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from orchestrator.attempt.limits import Limits
from orchestrator.attempt.usage import Meter, disk_usage, look, read_all
from orchestrator.journal.state import load_state
from orchestrator.model.result import Status
from orchestrator.report.build import build_report
from tests.integration.run_fixtures import make_repository, make_run, python, run, shell, task

MIB = 1 << 20


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def noting(marker: Path) -> str:
    """Python that notes when it begins to go over."""
    return f"import os, time\nopen({str(marker)!r}, 'w').write(str(time.time()))\n"


def innocent(tmp_path: Path) -> list[str]:
    """A program that is there before and after the other one goes over."""
    wait = f"n=0; while [ ! -e {tmp_path}/over ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n+1)); done"
    return shell(f"{wait}; sleep 2; echo fine")


def test_a_memory_hog_ends_and_the_others_finish(repo: Path, tmp_path: Path) -> None:
    """600 MB over three processes, none of them over the limit alone."""
    hog = (
        noting(tmp_path / "over") + "for _ in range(2):\n    if os.fork() == 0: break\n"
        f"held = bytearray(os.urandom(1)) * (150 * {MIB})\ntime.sleep(60)"
    )
    results = run(
        repo,
        [task("hog", python(hog)), task("other", innocent(tmp_path))],
        max_memory=200 * MIB,
        sandbox="off",
    )
    finished = results[0].finished_at
    assert [result.status for result in results] == [Status.FAILED, Status.SUCCEEDED]
    assert results[0].error_kind == "memory_limit"
    assert "its limit is 200 MiB" in (results[0].error_message or "")
    assert results[1].output == "fine"
    assert finished is not None
    assert finished.timestamp() - float((tmp_path / "over").read_text()) < 10


def test_a_fork_bomb_ends_whole_and_the_others_finish(repo: Path, tmp_path: Path) -> None:
    name = "orch-bomb-" + tmp_path.name[-12:]
    bomb = (
        noting(tmp_path / "over")
        + f"for _ in range(120):\n    if os.fork() == 0: os.execvp('sleep', [{name!r}, '60'])\ntime.sleep(60)"
    )
    results = run(
        repo, [task("bomb", python(bomb)), task("other", innocent(tmp_path))], max_processes=40, sandbox="off"
    )
    assert [result.status for result in results] == [Status.FAILED, Status.SUCCEEDED]
    assert results[0].error_kind == "process_limit"
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if name in line]


def test_what_fills_the_disk_ends(repo: Path) -> None:
    writer = "import time; time.sleep(1.5); open('big', 'wb').write(b'x' * 8_000_000); time.sleep(60)"
    results = run(repo, [task("writer", python(writer))], max_disk=4 * MIB)
    assert results[0].error_kind == "disk_limit"
    assert "its limit is 4 MiB" in (results[0].error_message or "")


def test_a_check_is_held_to_the_limits_too(repo: Path) -> None:
    hog = f"held = bytearray(1) * (150 * {MIB}); import time; time.sleep(60)"
    line = " ".join([*python("")[:-1], f'"{hog}"'])
    results = run(repo, [task("one", shell("true"), verify=[line])], max_memory=100 * MIB)
    assert (results[0].status, results[0].error_kind) == (Status.FAILED, "memory_limit")


def test_within_its_limits_a_worker_succeeds_and_its_use_is_reported(repo: Path) -> None:
    busy = (
        "import time\n"
        f"held = bytearray(1) * (60 * {MIB})\n"
        "end = time.monotonic() + 30\n"
        "while time.process_time() < 0.3 and time.monotonic() < end: pass\n"
        "time.sleep(1.5)\n"
    )
    running = make_run(
        repo, [task("busy", python(busy))], max_memory="1G", max_processes=50, max_disk="1 GiB"
    )
    [result] = asyncio.run(running.execute())
    assert result.success
    [entry] = build_report(load_state(running.directory))["results"]
    assert entry["resources"]["cpu_s"] > 0
    assert 60 * MIB < entry["resources"]["peak_rss_bytes"] < 200 * MIB


def test_memory_that_processes_share_counts_once(repo: Path, tmp_path: Path) -> None:
    """Eight forks that share 100 MB: 800 MB resident, 100 MB in truth."""
    code = (
        "import gc, os, time\n"
        f"held = bytearray(os.urandom(1)) * (100 * {MIB})\n"
        "gc.disable()\n"
        "for _ in range(8):\n    if os.fork() == 0: break\n"
        "time.sleep(2.5)\n"
    )
    [result] = run(repo, [task("forks", python(code))], max_memory=400 * MIB)
    assert result.success, result.error_message


def test_one_reading_of_all_processes_serves_every_attempt() -> None:
    """The cost of a look hardly depends on how many attempts there are."""

    async def measure() -> tuple[float, int]:
        with ThreadPoolExecutor(1) as pool:
            meter = Meter(pool)
            gauges = []
            for _ in range(64):
                gauge = meter.gauge(Limits(memory=1 << 40), ()).__enter__()
                gauge.shims.add(1)
                gauges.append(gauge)
            began = time.process_time()
            look(gauges, 0.0)
            spent = time.process_time() - began
            await meter.aclose()
        return spent, len(read_all())

    spent, processes = asyncio.run(measure())
    assert spent < 1.0, f"{spent * 1000:.0f} ms of processor time for {processes} processes"


def test_disk_usage_survives_what_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert 100_000 <= disk_usage(tmp_path) < 200_000
    assert disk_usage(tmp_path / "not there") == 0
