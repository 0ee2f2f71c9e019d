"""The gate on a tree that no worker has: run by us in a private checkout, unless a certificate is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor as Pool
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.agents.registry import get_agent
from orchestrator.attempt.checks import Place, run_lines
from orchestrator.attempt.environment import Belongings, attempt_belongings
from orchestrator.attempt.gate import certify, environment_digest, run_gate
from orchestrator.attempt.limits import Limits
from orchestrator.attempt.spec import AttemptSpec, EnvironmentSource
from orchestrator.attempt.stop import StopSignal
from orchestrator.attempt.usage import Gauge, Meter
from orchestrator.config import OrchestratorConfig
from orchestrator.errors import WorkspaceError
from orchestrator.git.chain import trees_of
from orchestrator.git.repository import Repository
from orchestrator.git.shield import Shield
from orchestrator.git.worktrees import remove_tree
from orchestrator.journal.certificates import certificate_id, find_certificate
from orchestrator.landing.checkout import check_out, git_folders, remove_place
from orchestrator.landing.plan import LandingError, Verdict
from orchestrator.model.confinement import Confinement
from orchestrator.model.event import EventKind
from orchestrator.model.result import CheckResult
from orchestrator.model.task import Task
from orchestrator.ports import Clock, DurableSink, Sandbox, Wrap
from orchestrator.safe_text import last_line
from orchestrator.secrets import Mask
from orchestrator.sessions.spawner import Spawner
from orchestrator.workspaces.pool import in_pool
from orchestrator.workspaces.worktree import INTEGRATION, integration_branch, make_room

#: What a shell says of a command that is not there, or cannot be executed.
_CANNOT_START = frozenset({126, 127})
_LAST_LINE_WINDOW = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a run's gates run, and by which rules: those of its attempts."""

    run_id: str
    repo: Repository
    base_commit: str
    config: OrchestratorConfig
    folder: Path  #: of the run: logs go below it
    place: Path  #: for checkouts and scratch objects; nothing else is in it
    environment: EnvironmentSource
    spawner: Spawner
    meter: Meter
    clock: Clock
    pool: Pool
    sandbox: Sandbox | None
    stop: StopSignal
    mask: Mask
    record: DurableSink


@asynccontextmanager
async def processes(pool: Pool) -> AsyncIterator[tuple[Spawner, Meter]]:
    """Hold what starts a ground's processes; at the end they are all gone."""
    spawner, meter = await Spawner.start(), Meter(pool)
    try:
        yield spawner, meter
    finally:
        await meter.aclose()
        await spawner.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a gate is about."""

    on: str  #: `base` or `landing`
    commit: str
    tree: str
    commands: tuple[str, ...]
    workers: tuple[str, ...] = ()  #: those whose work is in the tree


async def gate(ground: Ground, shield: Shield, subject: Subject) -> Verdict:
    """Run a gate and record what came of it. Raises LandingError when a stop is asked for."""
    if not subject.commands:
        return Verdict(passed=True)
    number = 0 if subject.on == "base" else None
    directory = await in_pool(ground.pool, partial(log_folder, ground.folder / "landing", subject.on))
    spec = attempt_rules(ground, directory, number)
    async with attempt_belongings(spec, ground.environment, ground.pool, ground.mask) as belongings:
        digest = _digest(ground, belongings)
        masked = [ground.mask.text(line) for line in subject.commands]
        name = certificate_id(ground.repo.common_dir, subject.tree, masked, digest)
        if found := find_certificate(name):
            verdict = Verdict(passed=True, flaky=bool(found.get("flaky")), certificate=name)
            await _record(ground, subject, verdict, cached=True)
            return verdict
        checkout = ground.place / (BASE_CHECKOUT if subject.on == "base" else INTEGRATION)
        try:
            await in_pool(ground.pool, partial(_check_out, ground, shield, subject, checkout))
            verdict, checks = await _gate_in(ground, shield, subject, (spec, belongings, checkout))
        finally:
            await in_pool(ground.pool, partial(remove_tree, checkout))
        if ground.stop.asked and not verdict.passed:
            raise LandingError("it was stopped during a gate", hint="`orchestrator land` goes on with it")
        if verdict.passed:
            with suppress(OSError):  # without it the same tree is only gated once more
                certify(
                    ground.repo.common_dir,
                    subject.tree,
                    masked,
                    digest,
                    run_id=ground.run_id,
                    flaky=verdict.flaky,
                )
                verdict = replace(verdict, certificate=name)
        await _record(ground, subject, verdict, checks=checks)
        return verdict


async def gate_of_base(ground: Ground) -> Verdict:
    """Run the run's own gate on its base commit, in a place of its own."""
    shield = await in_pool(ground.pool, partial(_base_shield, ground))
    try:
        (tree,) = trees_of(shield, [ground.base_commit])
        subject = Subject(on="base", commit=ground.base_commit, tree=tree, commands=ground.config.verify)
        return await gate(ground, shield, subject)
    finally:
        await in_pool(ground.pool, partial(remove_place, ground.place))


def _base_shield(ground: Ground) -> Shield:
    remove_tree(ground.place)
    if not make_room(ground.place):
        raise WorkspaceError(f"{ground.place} is in use")
    return ground.repo.scratch(ground.place / "git", head=ground.base_commit)


#: The checkout for the base's gate, which may run while workers work.
BASE_CHECKOUT = "base"


def log_folder(parent: Path, on: str) -> Path:
    """Make a folder for logs, numbered, as there may be others of the kind."""
    number = 0
    while True:
        number += 1
        folder = parent / f"{on}-{number}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


def attempt_rules(ground: Ground, directory: Path, number: int | None) -> AttemptSpec:
    """The rules of an attempt that has no agent. Its number keeps its TMPDIR apart from every other."""
    config = ground.config
    return AttemptSpec(
        run_id=ground.run_id,
        task=Task(id=INTEGRATION, name=INTEGRATION, prompt=""),
        attempt=int(directory.name.rpartition("-")[2]) if number is None else number,
        agent=get_agent("command"),
        directory=directory,
        config_dir=directory / "agent",
        setup=config.setup,
        verify=config.verify,
        env=config.env,
    )


def _digest(ground: Ground, belongings: Belongings) -> str:
    return environment_digest(
        {name: ground.mask.text(value) for name, value in belongings.env.items()},
        setup=ground.config.setup,
        sandboxed=ground.sandbox is not None,
    )


def _check_out(ground: Ground, shield: Shield, subject: Subject, checkout: Path) -> None:
    check_out(
        ground.repo,
        shield,
        subject.commit,
        checkout,
        branch=integration_branch(ground.run_id),
        copy_files=ground.config.copy_files,
    )


async def _gate_in(
    ground: Ground, shield: Shield, subject: Subject, room: tuple[AttemptSpec, Belongings, Path]
) -> tuple[Verdict, Sequence[CheckResult]]:
    """Run `setup`, then the commands, in the checkout."""
    config = ground.config
    spec, belongings, checkout = room
    with gate_place(ground, shield, belongings, checkout) as place:
        prepared = await run_lines(
            config.setup,
            place,
            log_path=spec.directory / "setup.log",
            log_limit=config.log_limit,
            limit_s=config.setup_timeout,
        )
        if any(check.exit_code != 0 for check in prepared):
            return _verdict("set-up", prepared), prepared
        verify = await run_gate(
            subject.commands,
            place,
            directory=spec.directory,
            log_limit=config.log_limit,
            limit_s=config.verify_timeout,
            retries=config.verify_retries,
        )
    if verify.passed:
        return Verdict(passed=True, flaky=verify.flaky), verify.commands
    return _verdict("check", verify.commands), verify.commands


@contextmanager
def gate_place(ground: Ground, shield: Shield, belongings: Belongings, checkout: Path) -> Iterator[Place]:
    """A place to run command lines in the checkout, within the limits of a worker."""
    config = ground.config
    limits = Limits(memory=config.max_memory, processes=config.max_processes, disk=config.max_disk)
    with ground.meter.gauge(limits, (checkout, belongings.tmp_dir)) as gauge:
        yield _place(ground, shield, belongings, checkout, gauge)


def _place(ground: Ground, shield: Shield, belongings: Belongings, checkout: Path, gauge: Gauge) -> Place:
    wrap: Wrap = list
    if ground.sandbox is not None:
        confinement = Confinement(
            workspace=checkout,
            tmp_dir=belongings.tmp_dir,
            prompt_file=belongings.prompt_file,
            git=git_folders(ground.repo, shield, integration_branch(ground.run_id)),
        )
        wrap = ground.sandbox.confine(confinement, belongings.env)
    return Place(
        cwd=checkout,
        env=belongings.env,
        spawner=ground.spawner,
        clock=ground.clock,
        stop=ground.stop,
        wrap=wrap,
        gauge=gauge,
        mask=ground.mask,
    )


def _verdict(what: str, checks: Sequence[CheckResult]) -> Verdict:
    failed = next(check for check in checks if check.exit_code != 0)
    return Verdict(passed=False, reason=failure_of(what, checks), unusable=failed.exit_code in _CANNOT_START)


def failure_of(what: str, checks: Sequence[CheckResult]) -> str:
    """Say which command failed, how, and where its log is."""
    failed = next(check for check in checks if check.exit_code != 0)
    ended = (
        "ran past its time limit" if failed.exit_code is None else f"exited with status {failed.exit_code}"
    )
    log = Path(failed.log_path)
    said = last_line(log.read_bytes()[-_LAST_LINE_WINDOW:])
    return f"{what} command `{failed.command}` {ended}{f': {said}' if said else ''}; see {log}"


async def _record(
    ground: Ground,
    subject: Subject,
    verdict: Verdict,
    *,
    cached: bool = False,
    checks: Sequence[CheckResult] = (),
) -> None:
    commands = [
        {
            "command": check.command,
            "exit_code": check.exit_code,
            "duration": check.duration,
            "log_path": check.log_path,
        }
        for check in checks
    ]
    data: dict[str, Any] = {
        "on": subject.on,
        "commit": subject.commit,
        "tree": subject.tree,
        "workers": list(subject.workers),
        "passed": verdict.passed,
        "flaky": verdict.flaky,
        "cached": cached,
        "certificate": verdict.certificate,
        "reason": verdict.reason,
        "commands": commands,
    }
    await ground.record(EventKind.GATE_FINISHED, data)
