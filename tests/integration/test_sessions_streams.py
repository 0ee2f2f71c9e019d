"""Streams: input arrives, output is kept to the last byte, and neither holds anybody up."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.sessions.output import TAIL_BYTES, OutputLog
from tests.integration.sessions_fixtures import Bench, in_bench

DEVICE_FULL = Path("/dev/full")


def test_input_arrives_and_ends(tmp_path: Path) -> None:
    payload = os.urandom(3_000_000)

    async def use(made: Bench) -> None:
        process = await made.spawn(["cat"])
        await process.write(payload[:1_000_000])
        await asyncio.gather(process.write(payload[1_000_000:2_000_000]), process.write(payload[2_000_000:]))
        await process.close_input()
        await process.close_input()
        assert (await process.wait()).output_bytes == len(payload)
        await process.write(b"too late")
        await process.close_input()
        assert process.tail() == payload[-TAIL_BYTES:]

    in_bench(tmp_path, use)
    assert (tmp_path / "output.log").read_bytes() == payload


@pytest.mark.parametrize("terminal", [False, True])
def test_a_process_that_never_reads_blocks_only_its_writer(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> None:
        deaf = await made.spawn(["sleep", "600"], terminal=terminal)
        writing = asyncio.create_task(deaf.write(b"x" * 9 + b"\n" * 10_000_000))
        closing = asyncio.create_task(deaf.close_input())
        other = await made.spawn(["echo", "other"])
        assert (await other.wait()).exit_code == 0
        assert not writing.done()
        await deaf.stop(now=True)
        await asyncio.gather(writing, closing)

    in_bench(tmp_path, use)


def test_a_process_that_closes_its_input_is_not_an_error(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.spawn(["sh", "-c", "exec <&-; echo closed; sleep 0.2"])
        await made.until(b"closed")
        await process.write(b"x" * 1_000_000)
        assert (await process.wait()).exit_code == 0

    in_bench(tmp_path, use)


def test_both_outputs_share_a_log_in_order(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        await (await made.spawn(["sh", "-c", "for n in 1 2 3; do echo o$n; echo e$n >&2; done"])).wait()

    in_bench(tmp_path, use)
    assert (tmp_path / "output.log").read_bytes() == b"o1\ne1\no2\ne2\no3\ne3\n"


def test_errors_apart_stay_out_of_the_protocol(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        errors = OutputLog(tmp_path / "errors.log", 1000)
        process = await made.spawn(["sh", "-c", "echo data; echo trouble >&2"], stderr_log=errors)
        assert (await process.wait()).output_bytes == 13
        errors.close()
        assert made.seen == b"data\n"
        assert process.tail() == b"data\n"

    in_bench(tmp_path, use)
    assert (tmp_path / "output.log").read_bytes() == b"data\n"
    assert (tmp_path / "errors.log").read_bytes() == b"trouble\n"


def test_a_flood_is_capped_and_memory_stays_flat(tmp_path: Path) -> None:
    size, limit = 200_000_000, 1_000_000

    async def use(made: Bench) -> int:
        before = psutil.Process().memory_info().rss
        flood = f"head -c {size} /dev/zero | tr '\\0' 'y'; echo the end"
        process = await made.spawn(["sh", "-c", flood], on_output=None)
        assert (await process.wait()).output_bytes == size + 8
        assert process.tail() == (b"y" * TAIL_BYTES + b"the end\n")[-TAIL_BYTES:]
        return int(psutil.Process().memory_info().rss - before)

    grown = in_bench(tmp_path, use, limit)
    assert grown < 10_000_000
    kept = (tmp_path / "output.log").read_bytes()
    marker = re.compile(
        rb"\n\[orchestrator: output beyond 1000000 bytes is not kept here; "
        rb"(\d+) bytes left out, the last (\d+) follow\]\n"
    )
    found = marker.search(kept)
    assert found is not None
    assert found.start() == limit
    assert int(found[2]) == TAIL_BYTES == len(kept) - found.end()
    assert int(found[1]) == size + 8 - limit - TAIL_BYTES
    assert kept.endswith(b"yyythe end\n")


def test_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 50 + "ü€😀".encode()[:-1] + b"\xff\xfe\x00"
    (tmp_path / "payload").write_bytes(payload)

    async def use(made: Bench) -> bytes:
        code = "import os, sys\nfor b in open('payload', 'rb').read(): os.write(1, bytes([b]))"
        await (await made.python(code)).wait()
        return bytes(made.seen)

    assert in_bench(tmp_path, use) == payload
    assert (tmp_path / "output.log").read_bytes() == payload


def test_a_terminal_is_a_real_one(tmp_path: Path) -> None:
    code = """
import os, sys
print([os.isatty(n) for n in (0, 1, 2)], tuple(os.get_terminal_size()))
with open("/dev/tty", "w") as tty:
    tty.write("controlling\\n")
print(os.tcgetpgrp(0) == os.getpgrp(), os.getsid(0) == os.getpid())
print(sys.stdin.readline())
"""

    async def use(made: Bench) -> bytes:
        process = await made.python(code, terminal=True)
        await made.until(b"True True")
        await process.close_input()  # means nothing on a terminal
        await process.write(b"typed\n")
        assert (await process.wait()).exit_code == 0
        return bytes(made.seen)

    seen = in_bench(tmp_path, use)
    assert b"[True, True, True] (120, 40)\r\ncontrolling\r\n" in seen
    assert seen.count(b"typed") == 2  # the echo and the answer


def test_short_terminal_runs_lose_no_output(tmp_path: Path) -> None:
    runs, lines = 200, 150

    async def one(made: Bench, number: int) -> None:
        script = f"i=0; while [ $i -lt {lines} ]; do echo line $i of {number}; i=$((i+1)); done; printf last"
        process = await made.spawn(["sh", "-c", script], terminal=True, on_output=None)
        await process.wait()
        expected = "".join(f"line {line} of {number}\r\n" for line in range(lines)) + "last"
        assert process.tail() == expected.encode()

    async def use(made: Bench) -> None:
        gate = asyncio.Semaphore(20)

        async def gated(number: int) -> None:
            async with gate:
                await one(made, number)

        await asyncio.gather(*map(gated, range(runs)))

    in_bench(tmp_path, use)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_grandchild_that_holds_the_output_open_holds_up_nobody(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> float:
        process = await made.spawn(["sh", "-c", "setsid sleep 600 & echo done"], terminal=terminal)
        start = time.monotonic()
        exit_ = await process.wait()
        assert (exit_.exit_code, exit_.survivors) == (0, ())
        return time.monotonic() - start

    assert in_bench(tmp_path, use) < 1.9  # the time after which reading would be given up


def test_output_held_open_from_outside_the_tree_is_given_up_with_a_remark(tmp_path: Path) -> None:
    """A process that is not the tree's, here this one, took hold of its output."""

    async def use(made: Bench) -> None:
        process = await made.spawn(["sh", "-c", "echo ready; read line; echo bye"])
        await made.until(b"ready")
        held = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY)
        await process.write(b"\n")
        assert (await process.wait()).exit_code == 0
        os.close(held)

    in_bench(tmp_path, use)
    assert b"bye\n\n[orchestrator: output was still held open" in (tmp_path / "output.log").read_bytes()


def test_a_full_disk_stops_neither_the_program_nor_the_run(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        log = OutputLog(DEVICE_FULL, 10_000_000)
        process = await made.spawn(["sh", "-c", "head -c 5000000 /dev/zero; echo end"], log=log)
        exit_ = await process.wait()
        assert (exit_.exit_code, exit_.output_bytes) == (0, 5_000_004)
        assert process.tail().endswith(b"\0end\n")
        assert log.error is not None
        assert "No space left" in str(log.error)
        log.close()

    in_bench(tmp_path, use)


def test_the_last_output_is_timed(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        before = time.monotonic()
        process = await made.spawn(["sh", "-c", "read line; echo $line; sleep 600"])
        started = process.last_output
        assert before <= started <= time.monotonic()
        await process.write(b"go\n")
        await made.until(b"go")
        assert started < process.last_output <= time.monotonic()
        await process.stop(now=True)

    in_bench(tmp_path, use)
