"""The report as text."""

from __future__ import annotations

import pytest

from orchestrator.journal.state import fold
from orchestrator.model.result import CheckResult, Status, VerifyResult
from orchestrator.report.build import build_report
from orchestrator.report.text import render_text
from orchestrator.report.words import duration, one_line, size
from tests.unit.report_events import begun, ended, hostile_run, worked

MIXED = """\
Run 20261123-193005-x7k2: failed
  repository  /repo
  base        main c0ffee
  boundary    worktree, no sandbox
  tasks       3 of 3 ended, 2 succeeded, 1 failed
  time        3m20s in all, longest task 3m05s
  parallel    1.8 busy on average (5m55s in slots), up to 3 at once

  TASK                            STATUS           TIME   WAITED TRIES FILES
  a                               succeeded       20.0s     0.0s     1     2
  a_long_name_a_long_name_a_lon…  succeeded       2m30s     0.0s     1     0
  c                               failed          3m05s     5.0s     1     0

c: failed (check_failed)
  the checks failed
  log: /logs/c
"""


def test_a_mixed_run_reads_well() -> None:
    long = "a_long_name_a_long_name_a_long_name"
    checks = (
        CheckResult(command="npm ci", exit_code=0, duration=1.0, log_path="/l"),
        CheckResult(command="npm  test", exit_code=None, duration=1.0, log_path="/l"),
    )
    bad = {
        "status": Status.FAILED,
        "error_kind": "check_failed",
        "error_message": "the\nchecks\tfailed",
        "log_path": "/logs/c",
        "verify": VerifyResult(passed=False, commands=checks),
    }
    events = [
        begun(["a", long, "c"]),
        *worked("a", 0.0, 20.0, files_changed=("x", "y")),
        *worked(long, 0.0, 150.0),
        *worked("c", 5.0, 190.0, **bad),
        ended(200.0, "failed"),
    ]
    assert render_text(build_report(fold(events))) == MIXED


def test_a_run_that_goes_on_shows_what_each_does() -> None:
    text = render_text(build_report(fold([begun(["a", "b"]), *worked("a", 0.0, 1.0)])))
    assert "1 of 2 ended, 1 succeeded" in text
    assert "  b     queued\n" in text


def test_hostile_text_is_harmless_and_lines_stay_short() -> None:
    text = render_text(build_report(fold(hostile_run())))
    assert all(character == "\n" or character.isprintable() for character in text)
    message = [line for line in text.split("\n") if line.startswith("  </pre>")]
    assert message
    assert all(len(line) <= 80 for line in message)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0.0s"), (0.04, "0.0s"), (18.0, "18.0s"), (59.94, "59.9s"), (59.96, "1m00s"), (185.4, "3m05s"),
        (3599.6, "1h00m"), (7620, "2h07m"), (360000, "100h00m"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_and_lines_in_words() -> None:
    assert [size(count) for count in (512, 1536, 3 << 20, 5 << 30)] == [
        "512 B",
        "1.5 KiB",
        "3.0 MiB",
        "5.0 GiB",
    ]
    assert one_line(" a\n\tb\x1b[31m c ") == "a b c"
