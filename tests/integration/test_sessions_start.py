"""Starting: the program gets exactly what was asked for, and a start that fails says why."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.errors import SpawnError
from orchestrator.sessions.limits import raise_descriptor_limit
from orchestrator.sessions.output import OutputLog
from orchestrator.sessions.process import StopGrace
from orchestrator.sessions.spawner import Spawner
from tests.integration.sessions_fixtures import ENV, Bench, bench, in_bench

REPORT = """
import json, os, sys
print(json.dumps([
    [os.fsencode(a).decode("latin-1") for a in sys.argv[1:]],
    {k.decode("latin-1"): v.decode("latin-1") for k, v in os.environb.items()},
    os.getcwd(),
]))
"""


def test_arguments_environment_and_folder_arrive_exactly(tmp_path: Path) -> None:
    folder = tmp_path / "a b ü"
    folder.mkdir()
    arguments = ["", "a b", "ü\udcff", "'\"$HOME\n", "-x", "x" * 100_000]
    env = {"PATH": "/usr/bin", "EMPTY": "", "ODD": "\udc80=\n", "LONG": "y" * 100_000, "LC_ALL": "C"}

    async def use(made: Bench) -> None:
        process = await made.python(REPORT, *arguments, cwd=folder, env=env)
        assert (await process.wait()).exit_code == 0

    in_bench(tmp_path, use)
    got_arguments, got_env, got_folder = json.loads((tmp_path / "output.log").read_bytes())
    assert [text.encode("latin-1") for text in got_arguments] == [os.fsencode(text) for text in arguments]
    got = {name.encode("latin-1"): value.encode("latin-1") for name, value in got_env.items()}
    got.pop(b"LC_CTYPE", None)  # set by the Python that reports, for itself
    assert got == {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
    assert got_folder == str(folder)


@pytest.mark.parametrize("terminal", [False, True])
def test_exit_status_and_signal_are_told_apart(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> None:
        left = await made.spawn(["sh", "-c", "exit 7"], terminal=terminal)
        killed = await made.spawn(["sh", "-c", "kill -SEGV $$"], terminal=terminal)
        exit_ = await left.wait()
        assert (exit_.exit_code, exit_.signal, exit_.survivors) == (7, None, ())
        exit_ = await killed.wait()
        assert (exit_.exit_code, exit_.signal) == (None, "SIGSEGV")
        assert await left.wait() == await left.stop()  # both may be asked again

    in_bench(tmp_path, use)


def test_a_program_is_found_in_the_path_it_is_given(tmp_path: Path) -> None:
    for name, word in (("one", "first"), ("two", "second")):
        (tmp_path / name).mkdir()
        tool = tmp_path / name / "tool"
        tool.write_text(f"#!/bin/sh\necho {word}\n")
        tool.chmod(0o755)

    async def use(made: Bench) -> bytes:
        for argv, path in (
            (["tool"], f"{tmp_path}/none:{tmp_path}/two"),
            (["tool"], "one:two"),  # relative to the working directory
            (["./two/tool"], ""),
        ):
            await (await made.spawn(argv, env={"PATH": path})).wait()
        return bytes(made.seen)

    assert in_bench(tmp_path, use) == b"second\nfirst\nsecond\n"


@pytest.mark.parametrize(
    ("argv", "folder", "words"),
    [
        (["no-such-program"], "", "'no-such-program': No such file"),
        (["./plain"], "", "'./plain': Permission denied"),
        (["plain"], "", "'plain': Permission denied"),
        (["./formless"], "", "'./formless': Exec format error"),
        (["./orphan"], "", "interpreter"),
        (["sh"], "missing", "working directory cannot be entered: No such file"),
        (["sh"], "plain", "working directory cannot be entered: Not a directory"),
        (["sh", "x" * 3_000_000], "", "Argument list too long"),
        ([], "", "without a name"),
        (["sh", "a\0b"], "", "NUL"),
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_start_that_fails_says_why(
    tmp_path: Path, argv: list[str], folder: str, words: str, terminal: bool
) -> None:
    (tmp_path / "plain").write_text("text")
    for name, text in (("formless", "text"), ("orphan", "#!/no/such/interpreter\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    async def use(made: Bench) -> None:
        env = {"PATH": f"/usr/bin:/bin:{tmp_path}"}
        with pytest.raises(SpawnError) as caught:
            await made.spawn(argv, cwd=tmp_path / folder, env=env, terminal=terminal)
        assert words in str(caught.value)
        assert caught.value.hint
        process = await made.spawn(["sh", "-c", "exit 0"], terminal=terminal)
        assert (await process.wait()).exit_code == 0

    in_bench(tmp_path, use)


@pytest.mark.parametrize("terminal", [False, True])
def test_programs_start_with_default_signals(tmp_path: Path, terminal: bool) -> None:
    async def use(made: Bench) -> list[bytes]:
        await (await made.spawn(["cat", "/proc/self/status"], terminal=terminal)).wait()
        return bytes(made.seen).split()

    words = in_bench(tmp_path, use)
    for name in (b"SigBlk:", b"SigIgn:"):
        assert int(words[words.index(name) + 1], 16) & 0x7FFFFFFF == 0


def test_descriptors_of_a_program_are_its_own(tmp_path: Path) -> None:
    async def use(made: Bench) -> bytes:
        await (await made.spawn(["ls", "/proc/self/fd"])).wait()
        return bytes(made.seen)

    assert in_bench(tmp_path, use).split() == [b"0", b"1", b"2", b"3"]  # 3: the folder that ls reads


def test_the_descriptor_limit_is_raised_here_but_not_for_programs(tmp_path: Path) -> None:
    original = raise_descriptor_limit()

    async def use(made: Bench) -> bytes:
        await (await made.spawn(["sh", "-c", "ulimit -Sn"])).wait()
        return bytes(made.seen)

    told = in_bench(tmp_path, use).strip()
    assert told == (b"unlimited" if original == resource.RLIM_INFINITY else b"%d" % original)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


def test_the_exit_file_tells_the_end(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"

    async def use(made: Bench) -> int:
        before = time.time()
        process = await made.spawn(["sh", "-c", "kill -TERM $$"], exit_file=path)
        await process.wait()
        told = json.loads(path.read_text())
        assert before - 1 < told.pop("finished_at") < time.time() + 1
        assert told == {"pid": process.pid, "exit_code": None, "signal": signal.SIGTERM, "survivors": []}
        return process.pid

    in_bench(tmp_path, use)
    assert [entry.name for entry in tmp_path.iterdir() if "exit" in entry.name] == ["exit.json"]


def test_an_exit_file_that_cannot_be_written_is_remarked_in_the_log(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        process = await made.spawn(["sh", "-c", "exit 0"], exit_file=tmp_path / "none" / "exit.json")
        assert (await process.wait()).exit_code == 0

    in_bench(tmp_path, use)
    assert b"exit file could not be written" in (tmp_path / "output.log").read_bytes()


def test_a_cancelled_spawn_leaves_nothing(tmp_path: Path) -> None:
    async def use(made: Bench) -> None:
        for pause in (0, 0.001, 0.003, 0.01):
            task = asyncio.create_task(made.spawn(["sleep", "600"]))
            await asyncio.sleep(pause)
            if task.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                await task.result().stop(now=True)
        nursery = psutil.Process(made.spawner.nursery_pids[0])
        assert [kin.name() for kin in nursery.children(recursive=True) if kin.name() == "sleep"] == []

    in_bench(tmp_path, use)


def test_closing_ends_everything_and_leaves_nothing(tmp_path: Path) -> None:
    def possessions() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - counts itself

    async def main() -> None:
        before = possessions()
        spawner = await Spawner.start()
        log = OutputLog(tmp_path / "log", 1000)
        processes = [
            await spawner.spawn(["sleep", "600"], cwd=tmp_path, env=ENV, log=log, terminal=terminal)
            for terminal in (False, True) * 3
        ]
        nursery = psutil.Process(spawner.nursery_pids[0])
        shims = nursery.children()
        assert len(shims) == len(processes)
        await asyncio.gather(spawner.aclose(), spawner.aclose())
        await spawner.aclose()
        assert [(await process.wait()).signal for process in processes] == ["SIGKILL"] * 6
        log.close()
        assert possessions() == before
        assert not [left for left in (nursery, *shims) if left.is_running()]
        with pytest.raises(SpawnError, match="the run is ending"):
            await spawner.spawn(["true"], cwd=tmp_path, env=ENV, log=log)

    asyncio.run(main())


def test_without_a_nursery_nothing_starts_but_what_runs_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as made:
            process = await made.spawn(["cat"])
            os.kill(made.spawner.nursery_pids[0], signal.SIGKILL)
            with pytest.raises(SpawnError, match=r"was killed|ended early"):
                for _ in range(100):
                    await (await made.spawn(["true"])).wait()
            await process.write(b"still here\n")
            await made.until(b"still here")
            await process.close_input()
            assert (await process.wait()).exit_code == 0
            with pytest.raises(SpawnError, match="was killed"):
                await made.spawn(["true"])

    asyncio.run(main())


def test_many_at_once_share_several_nurseries(tmp_path: Path) -> None:
    count = 150

    async def use(made: Bench) -> None:
        starts = (
            made.spawn(["cat"], terminal=number % 2 == 0, grace=StopGrace(interrupt_s=60))
            for number in range(count)
        )
        processes = await asyncio.gather(*starts)
        pids = made.spawner.nursery_pids
        assert len(pids) > 1
        parents = {psutil.Process(process.pid).parent() for process in processes}
        assert len(parents) == count
        assert {shim.ppid() for shim in parents if shim is not None} == set(pids)
        exits = await asyncio.gather(*(process.stop() for process in processes))
        assert {(exit_.signal, exit_.survivors) for exit_ in exits} == {("SIGINT", ())}

    in_bench(tmp_path, use)
