"""Manifests merged by key: what is taken, how it is written, and what stays a conflict."""

from __future__ import annotations

import json
import tomllib
from random import Random

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.landing.json_text import comments_of, parse_json, render, value_of
from orchestrator.landing.structured import can_merge_manifest, is_manifest, merge_manifest

BASE = """\
{
  "name": "shop",
  "version": "1.0.0",
  "files": ["dist", "types"],
  "scripts": {
    "test": "jest"
  },
  "dependencies": {
    "express": "^4.0.0",
    "zod": "^3.0.0"
  }
}
"""


def merge(path: str, base: str | None, ours: str, theirs: str) -> str | None:
    sides = (None if base is None else base.encode(), ours.encode(), theirs.encode())
    merged = merge_manifest(path, *sides)
    assert can_merge_manifest(path, *sides) == (merged is not None)
    return None if merged is None else merged.decode()


def test_both_sides_add_a_dependency() -> None:
    ours = BASE.replace('"zod"', '"pg": "^8.0.0",\n    "zod"')
    theirs = BASE.replace('"zod"', '"jose": "^5.0.0",\n    "zod"').replace('"1.0.0"', '"1.1.0"')
    wanted = ours.replace('"pg"', '"jose": "^5.0.0",\n    "pg"').replace('"1.0.0"', '"1.1.0"')
    assert merge("web/package.json", BASE, ours, theirs) == wanted


def test_our_layout_stays() -> None:
    base = '{\r\n\t"b" : 1.10,\r\n\r\n\t"a": {}, "list": [ "x" ]\r\n}'
    ours = base.replace("{}", '{"deep": "\\u00e9/"}').replace('[ "x" ]', '[ "x", "y" ]')
    theirs = '{"b": 1.10, "a": {"other": {\n  "n": 1e400\n}}, "list": ["x", "z"], '
    theirs += '"new": {\n  "k": [\n    1\n  ]\n}}'
    assert merge("package.json", base, ours, theirs) == (
        '{\r\n\t"b" : 1.10,\r\n\r\n\t"a": {"deep": "\\u00e9/", "other": {\r\n\t\t"n": 1e400\r\n\t}}, '
        '"list": [ "x", "y", "z" ],\r\n\t"new": {\r\n\t\t"k": [\r\n\t\t\t1\r\n\t\t]\r\n\t}\r\n}'
    )


def test_what_one_side_removes_goes() -> None:
    ours = BASE.replace('  "version": "1.0.0",\n', "").replace('["dist", "types"]', '["dist", "types", "a"]')
    theirs = BASE.replace('"dist", ', "").replace(',\n    "zod": "^3.0.0"', "")
    merged = merge("package.json", BASE, ours, theirs)
    assert merged == ours.replace('"dist", ', "").replace(',\n    "zod": "^3.0.0"', "")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("^3.0.0", "^3.1.0"), ("^3.0.0", "^3.2.0")),  # one key, two values
        (("^3.0.0", "^3.1.0"), (',\n    "zod": "^3.0.0"', "")),  # changed and removed
        (('"dist"', '"lib"'), ('"dist"', '"out"')),  # one item replaced in two ways
        (('"jest"', '"jest",'), ("^3.0.0", "^3.1.0")),  # cannot be read
        (('"jest"', '"jest", "test": "x"'), ("^3.0.0", "^3.1.0")),  # a key twice
        (('"1.0.0"', "1.0"), ('"1.0.0"', "1.00")),  # numbers as they are written
        (('{"', '{// no\n"'), ("^3.0.0", "^3.1.0")),  # a comment where there can be none
    ],
)
def test_what_only_a_person_can_say_stays_a_conflict(ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    base = BASE.replace('{\n  "name"', '{"name"')
    assert merge("package.json", base, base.replace(*ours), base.replace(*theirs)) is None
    assert merge("package.json", base, base.replace(*theirs), base.replace(*ours)) is None


def test_lists_whose_order_counts_are_no_sets() -> None:
    base = '{"args": ["-a"], "pair": [1, 2], "extends": ["x"]}'
    for old, new, other in [
        ('"-a"', '"-a", "-b"', '"-a", "-c"'),
        ("1, 2", "1, 2, 3", "1, 2, 4"),
        ('"x"', '"x", "y"', '"x", "z"'),
    ]:
        assert merge("package.json", base, base.replace(old, new), base.replace(old, other)) is None


def test_both_sides_add_the_file() -> None:
    assert merge("package.json", None, '{"a": 1}', '{"a": 1, "b": 2}') == '{"a": 1, "b": 2}'
    assert merge("package.json", None, '{"a": 1}', '{"a": 2}') is None


def test_comments_are_kept_or_it_stays_a_conflict() -> None:
    base = '{\n  // strict\n  "strict": true, // really\n  "lib": ["es2022"],\n}\n'
    ours = base.replace('["es2022"]', '["es2022", "dom"]')
    theirs = base.replace("  // strict", '  "jsx": "react-jsx",\n  // strict')
    merged = merge("tsconfig.json", base, ours, theirs)
    assert merged == ours.replace("  // strict", '  "jsx": "react-jsx",\n  // strict')
    assert merge("tsconfig.json", base, ours, theirs.replace("// really", "// not really")) is None
    loose = base.replace("true, //", "false, //")
    assert merge("tsconfig.json", base, ours, loose) == ours.replace("true, //", "false, //")
    between = base.replace('  "lib"', '  "jsx": "x",\n  "lib"')
    assert merge("tsconfig.json", base, ours, between) is None  # `// really` would end up behind `jsx`


PYPROJECT = """\
[project]
name = "shop"  # the name
dependencies = [
    "click>=8",
]

[tool.ruff]
line-length = 110
"""


def test_toml_by_key() -> None:
    ours = PYPROJECT.replace("]\n\n", '    "pydantic>=2",\n]\n\n').replace("110", "100")
    theirs = PYPROJECT.replace("]\n\n", '    "httpx>=0.27",\n]\n\n[dependency-groups]\ndev = ["pytest"]\n\n')
    merged = merge("pyproject.toml", PYPROJECT, ours, theirs)
    assert merged is not None
    assert merged.startswith(
        '[project]\nname = "shop"  # the name\ndependencies = [\n    "click>=8",\n    "httpx>=0.27",\n'
        '    "pydantic>=2",\n]\n\n[tool.ruff]\nline-length = 100\n'
    )
    assert tomllib.loads(merged)["dependency-groups"] == {"dev": ["pytest"]}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (('"click>=8"', '"click>=8.1"'), ('"click>=8"', '"Click>=8.2"')),
        (('"click>=8",', '"click>=8", "x.y>=1",'), ('"click>=8",', '"click>=8", "X_Y>=2",')),
        (('"click>=8",', ""), ('"click>=8"', '"click>=8.2"')),
        (("110", "1.0"), ("110", "1.00")),
        (("110", "100\nline-length = 100"), ('"shop"', '"shops"')),
    ],
)
def test_toml_that_stays_a_conflict(ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    assert merge("pyproject.toml", PYPROJECT, PYPROJECT.replace(*ours), PYPROJECT.replace(*theirs)) is None
    assert merge("pyproject.toml", PYPROJECT, PYPROJECT.replace(*theirs), PYPROJECT.replace(*ours)) is None


def test_a_comment_beside_a_change_of_theirs_is_not_lost() -> None:
    theirs = PYPROJECT.replace("110", "100  # narrow")
    ours = PYPROJECT.replace('"shop"', '"shops"')
    merged = merge("pyproject.toml", PYPROJECT, ours, theirs)
    assert merged is None or "# narrow" in merged


def test_cargo_dependencies() -> None:
    base = '[package]\nname = "x"\n\n[dependencies]\na = "1"\n\n[dev-dependencies]\nz = "1"\n'
    ours = base.replace('a = "1"', 'a = "1"\nb = { version = "2", features = ["q"] }')
    theirs = base.replace('a = "1"', 'a = "1"\nc = "3"')
    assert merge("Cargo.toml", base, ours, theirs) == ours.replace('["q"] }', '["q"] }\nc = "3"')
    assert (
        merge("Cargo.toml", base, base.replace('a = "1"', 'a = "2"'), base.replace('a = "1"', 'a = "3"'))
        is None
    )


def test_only_known_names_are_merged_by_key() -> None:
    assert [
        is_manifest(name) for name in ("a/package.json", "x.json", "tsconfig.app.json", "Cargo.lock")
    ] == [
        True,
        False,
        True,
        False,
    ]


# -- properties ----------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "c", "d", "é", 'q"', "files"])
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
)
TEXTS = st.lists(st.sampled_from("pqrstuvw"), unique=True, max_size=5)
VALUES = st.recursive(
    st.one_of(ATOMS, TEXTS), lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)
INDENTS = st.sampled_from([None, 1, 2, 4, "\t"])


def _write(document: object, indent: int | str | None) -> str:
    return json.dumps(document, indent=indent, ensure_ascii=False)


@st.composite
def edited(draw: st.DrawFn, document: dict[str, object]) -> dict[str, object]:
    """The document after somebody's work on it."""
    result = {key: value for key, value in document.items() if draw(st.integers(0, 5))}
    for key, value in list(result.items()):
        if isinstance(value, dict) and draw(st.booleans()):
            result[key] = draw(edited(value))
        elif isinstance(value, list) and draw(st.booleans()):
            result[key] = [item for item in value if draw(st.integers(0, 4))] + draw(
                st.lists(st.sampled_from("klmno"), unique=True, max_size=2)
            )
    for number in range(draw(st.integers(0, 2))):
        result[draw(KEYS) + "'" * number] = draw(VALUES)
    return result


@st.composite
def three_versions(draw: st.DrawFn) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
    base = draw(DOCUMENTS)
    return base, draw(edited(base)), draw(edited(base))


def _plain(value: object) -> object:
    """Equal for what is equal up to order."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return sorted(value) if isinstance(value, list) and all(isinstance(x, str) for x in value) else value


@settings(max_examples=300, deadline=None)
@given(three_versions(), INDENTS, INDENTS)
def test_merges_of_any_documents(
    versions: tuple[dict[str, object], dict[str, object], dict[str, object]],
    our_indent: int | str | None,
    their_indent: int | str | None,
) -> None:
    base, ours, theirs = versions
    texts = (_write(base, 2), _write(ours, our_indent), _write(theirs, their_indent))
    merged = merge("package.json", *texts)
    other = merge("package.json", texts[0], texts[2], texts[1])
    assert (merged is None) == (other is None)
    if merged is None or other is None:
        return
    found = json.loads(merged)
    assert _plain(found) == _plain(json.loads(other))
    kept = {key for key in {*ours, *theirs} if (key in ours and key in theirs) or key not in base}
    gone = {key for key in base if key not in ours or key not in theirs}
    assert kept <= found.keys() and not gone & found.keys()
    for key in found:
        if key in ours and key not in theirs:
            assert found[key] == ours[key]
    if our_indent is not None and found and ours and ours != base:
        assert merged.startswith(texts[1][: texts[1].index('"')])


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, DOCUMENTS, INDENTS)
def test_one_side_alone_and_two_equal_ones(
    base: dict[str, object], ours: dict[str, object], indent: int | str | None
) -> None:
    before, after = _write(base, indent), _write(ours, indent)
    assert merge("package.json", before, after, after) == after
    assert merge("package.json", before, after, before) == after
    theirs_alone = merge("package.json", before, before, after)
    assert theirs_alone is not None and json.loads(theirs_alone) == ours
    assert render(parse_json(after)) == after


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, st.integers(0, 200), st.sampled_from(list('{}[],:"\\x\0 1')))
def test_a_broken_side_stays_a_conflict(document: dict[str, object], place: int, extra: str) -> None:
    text = _write(document, 2)
    place = min(place, len(text))
    broken = text[:place] + extra + text[place:]
    other = _write({**document, "new": 1}, 2)
    merged = merge("package.json", text, broken, other)
    try:
        json.loads(broken, parse_constant=int)
    except ValueError:
        assert merged is None
    if merged is not None:
        json.loads(merged)


def test_what_is_read_is_what_python_reads() -> None:
    text = '{"a": [1, -0.5e+3, true, null, "x\\ud83d\\ude00"], "b": {}}'
    assert str(value_of(parse_json(text))).count("Atom") == 5
    for wrong in ("", "[1,]", "{,}", '{"a"}', "[01]", "[.5]", "[NaN]", "'a'", '["\t"]', "[1] 2", "[" * 200):
        with pytest.raises(ValueError):
            parse_json(wrong)
    assert comments_of('{"a": "// no", /* yes */ "b": 1} // and') == ["/* yes */", "// and"]


# -- the same for TOML, whose text another package changes -----------------------------------------


def _toml_value(random: Random, depth: int = 0) -> object:
    kind = random.random()
    if depth < 2 and kind < 0.35:
        return {random.choice("abcdefg"): _toml_value(random, depth + 1) for _ in range(random.randint(0, 3))}
    if kind < 0.55:
        return random.sample("pqrstuv", random.randint(0, 3))
    return random.choice([1, 1.5, True, "x", "y z"])


def _toml_edited(random: Random, document: dict[str, object]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in document.items():
        if random.random() < 0.15:
            continue
        if isinstance(value, dict) and random.random() < 0.6:
            result[key] = _toml_edited(random, value)
        elif isinstance(value, list) and random.random() < 0.4:
            added = random.sample("klm", random.randint(0, 2))
            result[key] = [item for item in value if random.random() < 0.8] + added
        else:
            result[key] = value
    for _ in range(random.randint(0, 2)):
        result.setdefault(random.choice("hijklm"), _toml_value(random))
    return result


def test_merges_of_random_toml_documents() -> None:
    random = Random(5)
    merged_ones = 0
    for _ in range(150):
        base = {key: _toml_value(random) for key in random.sample("abcdefg", random.randint(1, 5))}
        sides = [base, _toml_edited(random, base), _toml_edited(random, base)]
        before, ours, theirs = (tomlkit.dumps(side).encode() for side in sides)
        merged = merge_manifest("pyproject.toml", before, ours, theirs)
        other = merge_manifest("pyproject.toml", before, theirs, ours)
        if merged is None or other is None:
            continue
        merged_ones += 1
        found = tomllib.loads(merged.decode())
        assert _plain(found) == _plain(tomllib.loads(other.decode()))
        assert {key for key in {*sides[1], *sides[2]} if key not in base} <= found.keys()
        assert merge_manifest("pyproject.toml", before, ours, ours) == ours
    assert merged_ones > 50
