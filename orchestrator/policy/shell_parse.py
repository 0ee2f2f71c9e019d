"""Makes the tree of a shell command from its tokens: lists, pipelines, subshells, simple commands."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.policy.finding import Refused, names
from orchestrator.policy.shell_lex import Operator, Redirect, Token, Word, cut

_DEEPEST = 10
_MOST_COMMANDS = 100
#: Words that change what follows them when they begin a command.
_RESERVED = names(
    "if then elif else fi for while until do done case esac in function select coproc [[ ]] { }"
)


@dataclass(frozen=True, slots=True)
class Simple:
    """Words and redirects, nothing else."""

    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands that run at once, each reading what the one before it writes."""

    commands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """`left operator right`, where the operator is `&&`, `||` or `;`."""

    left: Node
    operator: str
    right: Node


@dataclass(frozen=True, slots=True)
class Subshell:
    """`( … )`: a change of folder ends with it."""

    body: Node
    redirects: tuple[Redirect, ...]


Node = Simple | Pipeline | Both | Subshell


def parse(text: str) -> Node:
    """Return the tree of `text`. Raises Refused when any of it is not understood."""
    reader = _Parser(cut(text))
    tree = reader.sequence(0)
    if not reader.at_end():
        raise _unexpected(reader.peek())
    return tree


def _unexpected(token: Token | None) -> Refused:
    what = f"`{token.text}`" if isinstance(token, Operator) and token.text != "\n" else "the end of a line"
    return Refused(f"{what} stands where a command was expected", rule="not_understood")


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._at, self._count = tokens, 0, 0

    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def peek(self) -> Token | None:
        return None if self.at_end() else self._tokens[self._at]

    def _operator(self) -> str | None:
        token = self.peek()
        return token.text if isinstance(token, Operator) else None

    def _skip_newlines(self) -> None:
        while self._operator() == "\n":
            self._at += 1

    def sequence(self, depth: int) -> Node:
        """Read commands up to `)` or the end."""
        if depth > _DEEPEST:
            raise Refused("the command is nested too deep", rule="not_understood")
        self._skip_newlines()
        tree = self._and_or(depth)
        while self._operator() in (";", "\n"):
            self._at += 1
            self._skip_newlines()
            if self.at_end() or self._operator() == ")":
                break
            tree = Both(tree, ";", self._and_or(depth))
        return tree

    def _and_or(self, depth: int) -> Node:
        tree = self._pipeline(depth)
        while (operator := self._operator()) in ("&&", "||"):
            self._at += 1
            self._skip_newlines()
            tree = Both(tree, operator, self._pipeline(depth))
        return tree

    def _pipeline(self, depth: int) -> Node:
        if self.peek() == Word("!"):
            self._at += 1
        commands = [self._command(depth)]
        while self._operator() == "|":
            self._at += 1
            self._skip_newlines()
            commands.append(self._command(depth))
        return commands[0] if len(commands) == 1 else Pipeline(tuple(commands))

    def _command(self, depth: int) -> Node:
        self._count += 1
        if self._count > _MOST_COMMANDS:
            raise Refused(f"more than {_MOST_COMMANDS} commands in one line", rule="not_understood")
        if self._operator() != "(":
            return self._simple()
        self._at += 1
        if self._operator() == "(":
            raise Refused("`((` is arithmetic", rule="not_understood")
        body = self.sequence(depth + 1)
        if self._operator() != ")":
            raise _unexpected(self.peek())
        self._at += 1
        return Subshell(body, self._redirects())

    def _redirects(self) -> tuple[Redirect, ...]:
        found: list[Redirect] = []
        while isinstance(token := self.peek(), Redirect):
            found.append(token)
            self._at += 1
        return tuple(found)

    def _simple(self) -> Simple:
        words: list[Word] = []
        redirects: list[Redirect] = []
        while isinstance(token := self.peek(), Word | Redirect):
            if isinstance(token, Word):
                words.append(token)
            else:
                redirects.append(token)
            self._at += 1
        if not words:
            raise _unexpected(self.peek())
        if words[0].text in _RESERVED or self._operator() == "(":
            raise Refused(
                f"`{words[0].text}` begins a compound command, which cannot be judged beforehand",
                rule="not_understood",
            )
        return Simple(tuple(words), tuple(redirects))
