"""Symbols, calls and versions as they are read from source files; needs the parsers of the extra `hints`."""

# ruff: noqa: E501 (each source on a line)
from __future__ import annotations

import pytest

from orchestrator.landing.dependencies import versions
from orchestrator.landing.symbols import language_of, symbols

SOURCES = {
    "a.py": b"class Post:\n    def save(self):\n        return check(self)\n\ndef check(post):\n    return 1\n",
    "a.js": b"class Post {\n  save() { return check(this); }\n}\nconst check = (post) => 1;\n",
    "a.ts": b"class Post {\n  save(): number { return check(this); }\n}\nfunction check(p: Post): number { return 1 }\n",
    "a.tsx": b"class Post {\n  save() { return <b>{check(this)}</b>; }\n}\nfunction check(p) { return 1 }\n",
    "a.go": b"package a\ntype Post struct{}\nfunc (p Post) save() int { return check(p) }\nfunc check(p Post) int { return 1 }\n",
    "a.rs": b"struct Post;\nimpl Post {\n fn save(&self) -> i32 { check(self) }\n}\nfn check(p: &Post) -> i32 { 1 }\n",
    "A.java": b"class Post {\n int save() { return check(this); }\n static int check(Post p) { return 1; }\n}\n",
    "a.rb": b"class Post\n  def save\n    check(self)\n  end\nend\ndef check(post)\n  1\nend\n",
    "a.c": b"struct Post { int x; };\nint check(struct Post *p) { return 1; }\nint save(struct Post *p) { return check(p); }\n",
    "a.cpp": b"class Post {\n public:\n int save() { return check(this); }\n};\nint check(Post *p) { return 1; }\n",
}


@pytest.mark.parametrize("name", SOURCES)
def test_definitions_and_what_they_call_are_found_in_each_language(name: str) -> None:
    ending = language_of(name)
    assert ending is not None, "the parsers are not installed"
    found = symbols(SOURCES[name], ending)
    by_last = {symbol.last_name: symbol for symbol in found.values()}
    assert {"Post", "save", "check"} <= by_last.keys()
    assert by_last["save"].calls == {"check"}
    assert by_last["check"].calls == frozenset()
    assert by_last["save"].is_function and not by_last["Post"].is_function


def test_a_class_does_not_change_with_its_methods() -> None:
    before = symbols(b"class A:\n    x = 1\n    def f(self):\n        return 1\n", ".py")
    after = symbols(b"class A:\n    x = 1\n    def f(self):\n        return 2\n", ".py")
    assert before["A"].text == after["A"].text
    assert before["A.f"].text != after["A.f"].text


def test_source_that_is_broken_gives_what_can_be_read() -> None:
    assert "f" in symbols(b"def f():\n    return 1\n\n)))(((\n\xff\xfe", ".py")


def test_what_no_parser_knows_has_no_symbols() -> None:
    assert language_of("a.txt") is None


MANIFESTS = {
    "package.json": (b'{"dependencies": {"react": "^18"}, "devDependencies": {"vite": "5"}}', {"react": "^18", "vite": "5"}),
    "pyproject.toml": (b'[project]\ndependencies = ["Click>=8", "jinja2[i18n]==3; x"]\n', {"click": ">=8", "jinja2": "==3"}),
    "requirements-dev.txt": (b"# c\n-r base.txt\npytest==8 # why\n", {"pytest": "==8"}),
    "Cargo.toml": (b'[dependencies]\nserde = "1"\nlog = { version = "0.4" }\n', {"serde": "1", "log": "0.4"}),
    "go.mod": (b"module x\nrequire (\n\tgithub.com/a/b v1.2.3\n)\n", {"github.com/a/b": "v1.2.3"}),
    "Gemfile": (b"gem 'rails', '~> 7'\n", {"rails": "~> 7"}),
    "composer.json": (b'{"require": {"php": ">=8"}}', {"php": ">=8"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFESTS)
def test_versions_are_read_from_each_manifest(name: str) -> None:
    content, expected = MANIFESTS[name]
    assert versions(f"some/folder/{name}", content) == expected


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"dependencies": 3}', b"\xff"])
def test_a_damaged_manifest_asks_for_nothing(content: bytes) -> None:
    assert versions("package.json", content) == {}
