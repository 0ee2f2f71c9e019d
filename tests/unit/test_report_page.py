"""The report as a page: self-contained, inert, and a timeline that fits."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from orchestrator.journal.state import RunState, fold
from orchestrator.model.event import EventKind, RunStatus
from orchestrator.model.result import Status
from orchestrator.report.build import build_report
from orchestrator.report.page import render_page
from orchestrator.report.timeline import build_timeline, ticks
from tests.unit.report_events import HOSTILE, begun, ended, event, hostile_run, worked

VOID = {"meta", "br", "link", "img", "input", "base"}
ACTIVE = {
    "script",
    "img",
    "link",
    "iframe",
    "object",
    "embed",
    "form",
    "input",
    "base",
    "audio",
    "video",
    "use",
}


class Page(HTMLParser):
    """What a browser would see: elements in order, attributes, and the text of each."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def words(self) -> str:
        return " ".join(" ".join(text.split()) for tag, text in self.texts if tag != "style")


def of_workers(count: int, slots: int = 8) -> RunState:
    ids = [f"worker_{number:03d}" for number in range(count)]
    steps = [
        step for n, i in enumerate(ids) for step in worked(i, n // slots * 60.0, n // slots * 60.0 + 60.0)
    ]
    return fold([begun(ids, max_workers=slots), *steps, ended(-(-count // slots) * 60.0)])


def test_a_hostile_run_makes_an_inert_page() -> None:
    source = render_page(fold(hostile_run()))
    page = Page(source)
    assert page.open == []
    assert not ACTIVE & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [
            name for name in attributes if name.startswith("on") or name in {"src", "srcdoc", "style"}
        ], tag
        assert (attributes.get("href") or "#").startswith("#")
    assert all(character == "\n" or character.isprintable() for character in source)
    assert source.count("{{7*7}}") > 10
    shown = HOSTILE.removeprefix("\x1b[31m\u202e")
    for place in ("code", "td", "dd", "pre"):
        assert [text for tag, text in page.texts if tag == place and shown in text], place


def test_the_page_may_load_and_run_nothing() -> None:
    page = Page(render_page(of_workers(2)))
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    source = render_page(of_workers(2))
    assert "http:" not in source
    assert "https:" not in source
    assert "@import" not in source
    assert source.count("url(") == source.count("url(#")


def test_it_says_what_was_measured() -> None:
    words = Page(render_page(of_workers(16))).words()
    for figure in (
        "wall time 2m00s",
        "sum of work 16m00s",
        "longest task 1m00s",
        "speed-up 8.0",
        "at once 8",
    ):
        assert figure in words
    assert "16 of 16 ended , 16 succeeded" in words.replace("ended,", "ended ,")


def test_each_worker_has_a_row_a_line_and_details_with_a_working_link() -> None:
    page = Page(render_page(of_workers(30)))
    assert page.count("details") == 30
    assert page.count("tr") == 31
    targets = [attributes["id"] for tag, attributes in page.tags if tag == "div" and "id" in attributes]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{target}" for target in targets]
    titles = [text for tag, text in page.texts if tag == "title"]
    assert "worker_007: succeeded" in titles
    assert "worker_008: queued 1m00s (from 0.0s to 1m00s)" in titles


def test_failures_are_open_and_said_without_colour() -> None:
    bad = {"status": Status.FAILED, "error_message": "it broke", "error_kind": "exit_status", "exit_code": 3}
    state = fold([begun(["a", "b"]), *worked("a", 0, 1, **bad), *worked("b", 0, 1), ended(1, "failed")])
    page = Page(render_page(state))
    assert [attributes for tag, attributes in page.tags if tag == "details"] == [{"open": None}, {}]
    assert "✗ failed" in page.words()
    assert "it broke" in page.words()


def test_a_run_that_goes_on_or_died_says_so() -> None:
    state = fold([begun(["b", "a"]), *worked("a", 0.0, 1.0), *list(worked("b", 0.0, 4.0))[:2]])
    going = Page(render_page(state)).words()
    assert "was going on when the page was written" in going
    assert "· running" in going
    state.status = RunStatus.DIED
    died = Page(render_page(state)).words()
    assert "The process of this run is gone" in died
    assert "run_died" in died


@pytest.mark.parametrize("count", [1, 2, 8, 30, 200])
def test_the_timeline_fits_and_keeps_spawn_order(count: int) -> None:
    report = build_report(of_workers(count))
    timeline = build_timeline(report["results"], report["wall_seconds"])
    assert [row.worker_id for row in timeline.rows] == [entry["worker_id"] for entry in report["results"]]
    for row in timeline.rows:
        assert 0 <= row.y <= timeline.axis_y - timeline.row_height
        edges = [
            edge for segment in row.segments for edge in (segment.x, round(segment.x + segment.width, 2))
        ]
        assert edges == sorted(edges)
        assert timeline.labels_width <= edges[0] <= edges[-1] <= timeline.width
    assert timeline.height <= 3000
    assert timeline.row_height >= 14


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        (0.004, "0.000s", "0.004s"), (0.7, "0.0s", "0.7s"), (2.3, "0.0s", "2.0s"), (9, "0s", "9s"),
        (94, "0s", "1m30s"), (600, "0s", "10m"), (5082, "0s", "1h20m"),
        (90000, "0s", "24h"), (9e6, "0s", "2376h"),
    ],
)  # fmt: skip
def test_ticks_are_round_and_few(span: float, first: str, last: str) -> None:
    marks = ticks(span)
    assert 3 <= len(marks) <= 11
    assert (marks[0][1], marks[-1][1]) == (first, last)
    assert marks[-1][0] <= span * 1.000001
    assert len({label for _, label in marks}) == len(marks)


def test_the_conflict_matrix_the_files_and_the_order_are_drawn_and_escaped() -> None:
    ids = ["w1", "w2", "w3"]
    conflict = {"kind": "contents", "files": [HOSTILE], "hunks": []}
    found = {
        "pairs": [{"a": "w1", "b": "w3", "files": [HOSTILE], "conflicts": [conflict]}],
        "order": ["w2", "w1", "w3"],
        "conflicting": ["w3"],
        "target": {"ref": "main", "commit": "c0ffee"},
        "against_target": [],
        "hints": [{"kind": "symbol", "a": "w1", "b": "w2", "files": [], "what": "f", "text": HOSTILE}],
    }
    events = [begun(ids), *(one for name in ids for one in worked(name, 0, 1)), ended(1)]
    state = fold([*events, event(EventKind.CONFLICTS_FOUND, 1, **found)])
    page = Page(render_page(state))
    assert not ACTIVE & {tag for tag, _ in page.tags}
    cells = [attributes for tag, attributes in page.tags if "cell" in (attributes.get("class") or "").split()]
    assert len(cells) == 6
    assert sum("clash" in (cell["class"] or "") for cell in cells) == 2
    assert "\x1b" not in render_page(state)
    ordered = [text for where, text in page.texts if text in ids and where == "span"]
    assert "".join(ordered).find("w2w1w3") >= 0


def test_a_run_without_conflicts_says_so() -> None:
    events = [begun(["w1", "w2"]), *worked("w1", 0, 1), *worked("w2", 0, 1), ended(1)]
    found = {"pairs": [], "order": ["w1", "w2"], "conflicting": []}
    page = render_page(fold([*events, event(EventKind.CONFLICTS_FOUND, 1, **found)]))
    assert "git merges every two branches by itself" in page
