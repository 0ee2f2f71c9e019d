"""Functions, methods and classes of a source file, by tree-sitter; an extra (`hints`), imported when used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any

#: By ending: the package of the grammar, and its function.
_GRAMMARS = {
    ".py": ("tree_sitter_python", "language"),
    ".pyi": ("tree_sitter_python", "language"),
    ".js": ("tree_sitter_javascript", "language"),
    ".jsx": ("tree_sitter_javascript", "language"),
    ".mjs": ("tree_sitter_javascript", "language"),
    ".cjs": ("tree_sitter_javascript", "language"),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".mts": ("tree_sitter_typescript", "language_typescript"),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    ".java": ("tree_sitter_java", "language"),
    ".rb": ("tree_sitter_ruby", "language"),
    ".c": ("tree_sitter_c", "language"),
    ".h": ("tree_sitter_cpp", "language"),
    ".cc": ("tree_sitter_cpp", "language"),
    ".cpp": ("tree_sitter_cpp", "language"),
    ".cxx": ("tree_sitter_cpp", "language"),
    ".hpp": ("tree_sitter_cpp", "language"),
    ".hh": ("tree_sitter_cpp", "language"),
}
#: Kinds of nodes that define something a person would name, in any of the grammars.
_FUNCTIONS = frozenset(
    {
        "function_definition",
        "function_declaration",
        "generator_function_declaration",
        "method_definition",
        "method_declaration",
        "constructor_declaration",
        "function_item",
        "function_signature_item",
        "method",
        "singleton_method",
    }
)
_HOLDERS = frozenset(
    {
        "class_definition",
        "class_declaration",
        "abstract_class_declaration",
        "class_specifier",
        "struct_specifier",
        "struct_item",
        "enum_item",
        "trait_item",
        "impl_item",
        "interface_declaration",
        "enum_declaration",
        "class",
        "module",
    }
)
_CALLS = frozenset({"call", "call_expression", "method_invocation", "new_expression"})
#: `const name = (…) => …` and the like.
_NAMED_VALUES = frozenset({"variable_declarator", "field_definition", "public_field_definition"})
_TYPE = "type_spec"
_VALUES = frozenset({"arrow_function", "function_expression", "function"})


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition: its own text without what is defined inside it, and the names that it calls."""

    name: str  #: with the names of what it lies in, such as `Post.save`
    is_function: bool
    text: bytes
    calls: frozenset[str]

    @property
    def last_name(self) -> str:
        """The name as a caller writes it."""
        return self.name.rpartition(".")[2]


def parser_fault() -> str | None:
    """Say why there are no hints on symbols; None when there are."""
    if not _is_installed("tree_sitter"):
        return (
            "no hints on functions and classes: the parsers are not installed "
            "(`pip install 'parallel-ai-orchestrator[hints]'`)"
        )
    return None


def language_of(path: str) -> str | None:
    """The ending by which `path` can be parsed here; None when it cannot be."""
    ending = PurePosixPath(path).suffix.lower()
    grammar = _GRAMMARS.get(ending)
    return ending if grammar and _is_installed("tree_sitter") and _is_installed(grammar[0]) else None


@lru_cache(maxsize=32)
def _is_installed(package: str) -> bool:
    return find_spec(package) is not None


def family(ending: str) -> str:
    """What can call each other: TypeScript and JavaScript, C and C++ are one."""
    package = _GRAMMARS[ending][0]
    return {"tree_sitter_typescript": "tree_sitter_javascript", "tree_sitter_c": "tree_sitter_cpp"}.get(
        package, package
    )


def symbols(source: bytes, ending: str) -> dict[str, Symbol]:
    """Return the definitions in `source`; of several with one name, all count as one."""
    parser, query = _tools(ending)
    found: dict[str, Symbol] = {}
    for symbol in _sweep(_captured(query, parser.parse(source).root_node), source):
        found[symbol.name] = _together(found.get(symbol.name), symbol)
    return found


def _together(earlier: Symbol | None, symbol: Symbol) -> Symbol:
    if earlier is None:
        return symbol
    text = earlier.text + b"\0" + symbol.text
    return Symbol(symbol.name, symbol.is_function, text, earlier.calls | symbol.calls)


@lru_cache(maxsize=32)
def _tools(ending: str) -> tuple[Any, Any]:
    """The parser of a language, and a query for those kinds of nodes that its grammar has."""
    from tree_sitter import Language, Parser, Query  # noqa: PLC0415 (an extra)

    package, function = _GRAMMARS[ending]
    language = Language(getattr(import_module(package), function)())
    kinds = sorted(_FUNCTIONS | _HOLDERS | _NAMED_VALUES | {_TYPE} | _CALLS)
    known = [kind for kind in kinds if language.id_for_node_kind(kind, True)]
    return Parser(language), Query(language, "\n".join(f"({kind}) @node" for kind in known))


def _captured(query: Any, root: Any) -> list[Any]:
    """Definitions and calls, outer ones first."""
    from tree_sitter import QueryCursor  # noqa: PLC0415 (an extra)

    nodes = QueryCursor(query).captures(root).get("node", [])
    return sorted(nodes, key=lambda node: (node.start_byte, -node.end_byte))


@dataclass(slots=True)
class _Open:
    """A definition whose end has not come yet."""

    name: str
    is_function: bool
    place: int  #: where the part begins that no inner definition has
    end: int
    pieces: list[bytes]
    calls: set[str]

    def closed(self, source: bytes) -> Symbol:
        text = b"".join([*self.pieces, source[self.place : self.end]])
        return Symbol(self.name, self.is_function, text, frozenset(self.calls))


def _sweep(nodes: Iterable[Any], source: bytes) -> Iterator[Symbol]:
    """Go through the file once; what is defined in a definition belongs to the inner one alone."""
    inside: list[_Open] = []
    for node in nodes:
        start, end = node.start_byte, node.end_byte
        while inside and inside[-1].end <= start:
            yield inside.pop().closed(source)
        if name := _name(node):
            if inside:
                inside[-1].pieces.append(source[inside[-1].place : start])
                inside[-1].place = end
                name = f"{inside[-1].name}.{name}"
            is_function = node.type not in _HOLDERS and node.type != _TYPE
            inside.append(_Open(name, is_function, start, end, [], set()))
        elif inside and node.type in _CALLS and (called := _called(node)):
            inside[-1].calls.add(called)
    while inside:
        yield inside.pop().closed(source)


def _name(node: Any) -> str | None:
    """The name that a node defines; None when it defines none."""
    kind = node.type
    if kind in _FUNCTIONS or kind in _HOLDERS:
        return _text(_name_node(node))
    if kind in _NAMED_VALUES:
        value = node.child_by_field_name("value")
        if value is not None and value.type in _VALUES:
            return _text(node.child_by_field_name("name") or node.child_by_field_name("property"))
    if kind == _TYPE:
        return _text(node.child_by_field_name("name"))
    return None


def _name_node(node: Any) -> Any:
    if node.type == "impl_item":
        return node.child_by_field_name("type")
    found = node.child_by_field_name("name")
    declarator = node.child_by_field_name("declarator")
    while found is None and declarator is not None:  # C and C++ wrap the name: `int *(name)(…)`
        inner = declarator.child_by_field_name("declarator")
        if inner is None:
            return declarator
        declarator = inner
    return found


def _text(node: Any) -> str | None:
    return node.text.decode("utf-8", "replace")[:200] if node is not None and node.text else None


def _called(call: Any) -> str | None:
    """The last name of what is called: `save` of `self.post.save(…)`."""
    for field in ("function", "method", "name", "constructor"):
        target = call.child_by_field_name(field)
        if target is not None:
            break
    else:
        return None
    while target.named_children and target.type not in {"identifier", "field_identifier"}:
        target = target.named_children[-1]
    return _text(target)
