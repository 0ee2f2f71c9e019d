"""The gate on one tree: `verify` commands run by us, again when they may be flaky, and certified."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from orchestrator.attempt.checks import Place, run_lines
from orchestrator.journal.certificates import certificate_id, digest_of, store_certificate
from orchestrator.model.result import VerifyResult

#: What differs from one attempt to the next, and is nothing that a check should depend on.
_VOLATILE = frozenset({"TMPDIR", "TMP", "TEMP", "TERM"})


async def run_gate(
    lines: Sequence[str], place: Place, *, directory: Path, log_limit: int, limit_s: float, retries: int
) -> VerifyResult:
    """Run the gate, `retries` times more while it fails. Logs are `verify.log`, `verify-2.log`, …"""
    number = 0
    while True:
        number += 1
        log_path = directory / ("verify.log" if number == 1 else f"verify-{number}.log")
        checks = await run_lines(lines, place, log_path=log_path, log_limit=log_limit, limit_s=limit_s)
        passed = len(checks) == len(lines) and all(check.exit_code == 0 for check in checks)
        if passed or number > retries or place.stop.asked or place.gauge.over.done():
            return VerifyResult(passed=passed, commands=checks, flaky=passed and number > 1)


def environment_digest(
    env: Mapping[str, str], *, setup: Sequence[str], sandboxed: bool, without: Collection[str] = ()
) -> str:
    """Return a hash of all that a gate's result may depend on besides tree and commands.

    `env` is given without secrets. `without` names variables that are only for agents.
    """
    kept = {
        name: value
        for name, value in env.items()
        if name not in _VOLATILE and name not in without and not name.startswith("ORCHESTRATOR_")
    }
    machine = os.uname()
    return digest_of(
        {
            "env": kept,
            "setup": list(setup),
            "sandbox": sandboxed,
            "system": [machine.sysname, machine.machine],
        }
    )


def certify(
    repository: Path, tree: str, commands: Sequence[str], environment: str, *, run_id: str, flaky: bool
) -> str:
    """Keep that the gate passed; return the certificate's name. Raises OSError."""
    name = certificate_id(repository, tree, commands, environment)
    facts = {"repository": str(repository), "tree": tree, "commands": list(commands)}
    store_certificate(name, {**facts, "environment": environment, "run_id": run_id, "flaky": flaky})
    return name
