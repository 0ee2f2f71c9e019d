"""How many workers the machine has room for, by what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import OrchestratorConfig
from orchestrator.core.admission import Reading, admit, read_machine
from orchestrator.core.scheduler import Measured

MIB = 1 << 20
GIB = 1 << 30


def reading(
    memory: int = 100 * GIB, disk: int = 100 * GIB, size: int = 200 * GIB, **pressure: float
) -> Reading:
    return Reading(free_memory=memory, free_disk=disk, disk_size=size, pressure=pressure)


def admitted(measured: Reading, running: tuple[int, ...] = (), peaks: tuple[int, ...] = ()) -> Measured:
    return admit(measured, OrchestratorConfig(), running, peaks)


def test_before_anything_was_measured_of_workers_there_is_no_bound() -> None:
    assert admitted(reading()) == Measured()


@pytest.mark.parametrize(
    ("measured", "kind"),
    [
        (reading(memory=255 * MIB), "memory"),
        (reading(disk=255 * MIB), "disk"),
        (reading(disk=4 * MIB, size=100 * MIB), "disk"),
    ],
)
def test_floors_hold(measured: Reading, kind: str) -> None:
    told = admitted(measured)
    assert (told.room, told.kind, told.floor) == (0, kind, True)
    assert "the floor is" in told.detail


def test_a_small_disk_has_a_small_floor() -> None:
    assert admitted(reading(disk=6 * MIB, size=100 * MIB)).room is None


@pytest.mark.parametrize(
    ("pressure", "held"), [({"memory": 21.0}, True), ({"io": 61.0}, True), ({"cpu": 100.0}, False)]
)
def test_pressure_is_no_floor(pressure: Mapping[str, float], held: bool) -> None:
    told = admitted(replace(reading(), pressure=pressure))
    assert (told.room == 0, told.floor) == (held, False)


def test_a_limit_of_your_own_counts() -> None:
    config = OrchestratorConfig(max_pressure={"cpu": 50.0, "memory": None}, min_free_memory="2G")
    assert admit(reading(cpu=60.0), config, [], []).kind == "pressure"
    assert admit(reading(), config, [], []) == Measured()
    assert admit(reading(memory=2 * GIB - 1), config, [], []).floor


def test_room_is_for_workers_of_the_usual_size_and_young_ones_grow() -> None:
    free = 256 * MIB + 10 * GIB
    assert admitted(reading(memory=free), peaks=(GIB, GIB)).room == 10
    assert admitted(reading(memory=free), running=(GIB,) * 3).room == 10
    young = admitted(reading(memory=free), running=(0, 2 * GIB), peaks=(GIB,))
    assert young.room == 9
    assert admitted(reading(memory=300 * MIB), peaks=(GIB,)).room == 0


def test_what_the_system_tells_is_read(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("some avg10=12.50 avg60=1.00 avg300=0.50 total=1\n")
    (tmp_path / "memory").write_text("some avg10=9.00 avg60=0 avg300=0 total=1\nfull avg10=3.25 avg60=0\n")
    (tmp_path / "io").write_text("nonsense\n")
    measured = read_machine(tmp_path / "not" / "there", tmp_path)
    assert measured.pressure == {"cpu": 12.5, "memory": 3.25}
    assert measured.free_memory > 0
    assert 0 < measured.free_disk <= measured.disk_size


def faults(**values: Any) -> str:
    with pytest.raises(ValueError, match=":") as caught:
        OrchestratorConfig(**values)
    return str(caught.value)


def test_wrong_limits_are_told() -> None:
    assert "budget.cost: expected more than 0" in faults(budget={"cost": 0})
    assert "did you mean `expected_cost`?" in faults(budget={"expected_costs": 1})
    assert "such as 500K or 5M" in faults(budget={"tokens": "many"})
    assert "max_pressure.swap: unknown key" in faults(max_pressure={"swap": 3})
    assert "a percentage such as 200%" in faults(task_timeout="often")
    assert "soon,success=1" in faults(halt="soon,wins=1")
