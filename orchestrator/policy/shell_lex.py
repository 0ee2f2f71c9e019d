"""Cuts a shell command into tokens; whatever is not provably literal is refused.

The accepted language is a small subset that POSIX sh, bash and zsh read alike: plain and quoted words,
`&& || ; |`, newlines, subshells, redirects, and here-documents without expansions. A word is literal text,
except for `*` and `?`. Every other special character ends the analysis.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from orchestrator.policy.finding import Refused

LONGEST = 100_000
_BLANKS = re.compile(r"[ \t]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@%+,\-]+")
_OPERATOR = re.compile(r"&&|\|\||;|\||\n|\(|\)")
_REDIRECT = re.compile(
    r"(?P<dup>[12]?>&[12](?=[\s;|&)]|$))"
    r"|(?P<both>&>>?)(?![>&|(<])"
    r"|(?P<file>[0-2]?(?:>>|>|<))(?![>&|(<])"
    r"|<<(?P<quote>['\"]?)(?P<mark>[A-Za-z_]+)(?P=quote)(?=[\s;|&)>]|$)"
)
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\$`]|\\[^\n]|\$(?="))*)"')
_DOUBLE_ESCAPE = re.compile(r'\\([\\"$`])')
#: What `git commit` and `gh` are given by agents: literal text through a here-document.
_TEXT_BLOCK = re.compile(
    r'"\$\(cat <<\'(?P<mark>[A-Za-z_]+)\'\n(?P<body>(?:[^"$`\\]*?\n)??)(?P=mark)\n[ \t]*\)"'
)
_ESCAPE = re.compile(r"\\([ !-/:-@\[-`{-~])")
_GLOB = re.compile(r"[*?]+")
_COMMENT = re.compile(r"#[A-Za-z0-9 ,.:'/_-]*(?=\n|$)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_END = " \t\n;|&()<>"


class Word(NamedTuple):
    """One word: its text without quotes, and whether the shell may replace it by file names."""

    text: str
    glob: bool = False
    quoted: bool = False


class Redirect(NamedTuple):
    """Output or input of a command. `path` is None where no file is named."""

    operator: str
    path: Word | None = None


class Operator(NamedTuple):
    """`&&`, `||`, `;`, `|`, `(`, `)` or a newline."""

    text: str


Token = Word | Redirect | Operator


def cut(text: str) -> list[Token]:
    """Return the tokens of `text`. Raises Refused for anything that is not provably literal."""
    _check_characters(text)
    return _Lexer(text).tokens()


def _not_understood(reason: str) -> Refused:
    return Refused(reason, rule="not_understood")


def _check_characters(text: str) -> None:
    if len(text) > LONGEST:
        raise _not_understood(f"the command is longer than {LONGEST} characters")
    if bad := _CONTROL.search(text):
        raise _not_understood(f"the command holds the control character U+{ord(bad.group()):04X}")
    if not text.isascii():
        odd = next((char for char in text if char not in "\n\t" and not char.isprintable()), None)
        if odd:
            raise _not_understood(f"the command holds the invisible character U+{ord(odd):04X}")


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._marks: list[tuple[str, bool]] = []  # of here-documents whose text is still to come

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        text = self._text
        while True:
            self._at = _BLANKS.match(text, self._at).end()  # type: ignore[union-attr] # matches nothing too
            if self._at == len(text):
                break
            if text[self._at] == "#" and (not found or found[-1] == Operator("\n")):
                self._comment()
            elif match := _REDIRECT.match(text, self._at):
                found.append(self._redirect(match))
            elif match := _OPERATOR.match(text, self._at):
                self._at = match.end()
                found.append(Operator(match.group()))
                if match.group() == "\n":
                    self._skip_documents()
            else:
                found.append(self._word())
        if self._marks:
            raise _not_understood("a here-document has no end")
        return found

    def _comment(self) -> None:
        match = _COMMENT.match(self._text, self._at)
        if not match:
            raise _not_understood("a comment holds special characters; leave it out")
        self._at = match.end()

    def _redirect(self, match: re.Match[str]) -> Redirect:
        self._at = match.end()
        if match["dup"]:
            return Redirect(match["dup"])
        if match["mark"]:
            self._marks.append((match["mark"], bool(match["quote"])))
            return Redirect("<<")
        self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr] # matches nothing too
        if self._at == len(self._text) or self._text[self._at] in _END:
            raise _not_understood("a redirect names no file")
        path = self._word()
        if path.glob:
            raise _not_understood("a redirect to a pattern")
        return Redirect((match["both"] or match["file"]).lstrip("012"), path)

    def _skip_documents(self) -> None:
        """Step over the text of the here-documents that the line just read began."""
        for mark, quoted in self._marks:
            start = self._at
            while True:
                if self._at >= len(self._text):
                    raise _not_understood("a here-document has no end")
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line, begin = self._text[self._at : end], self._at
                self._at = end + 1
                if line == mark:
                    break
            if not quoted and re.search(r"[$`\\]", self._text[start:begin]):
                raise _not_understood(f"a here-document with expansions; write <<'{mark}'")
            self._at = min(self._at, len(self._text))
        self._marks.clear()

    def _word(self) -> Word:
        """Read one word: plain, quoted and escaped pieces without a gap."""
        start, text = self._at, self._text
        plain = _PLAIN.match(text, start)
        if plain and (plain.end() == len(text) or text[plain.end()] in _END):
            self._at = plain.end()
            pieces, glob = plain.group(), False
        else:
            pieces, glob = self._pieces()
        written = text[start : self._at]
        if self._at < len(text) and text[self._at] in "<>" and written.isdigit():
            raise _not_understood(f"a redirect of descriptor {written}")
        if written[0] == "=":
            raise _not_understood("a word that begins with `=`")
        if self._marks and "\n" in written:
            raise _not_understood("quotes over several lines beside a here-document")
        return Word(pieces, glob, written != pieces)

    def _pieces(self) -> tuple[str, bool]:
        parts: list[str] = []
        glob, start = False, self._at
        while self._at < len(self._text) and self._text[self._at] not in _END:
            if match := _PLAIN.match(self._text, self._at) or _GLOB.match(self._text, self._at):
                glob = glob or match.group()[0] in "*?"
                parts.append(match.group())
                self._at = match.end()
            else:
                parts.append(self._special(start))
        if self._at == start:
            raise self._unknown()
        text = "".join(parts)
        if glob and text != self._text[start : self._at]:
            raise _not_understood("a pattern with quotes in it")
        return text, glob

    def _special(self, start: int) -> str:
        """Read a piece that begins with anything but a plain character."""
        text, at = self._text, self._at
        if match := _SINGLE.match(text, at) or _TEXT_BLOCK.match(text, at) or _DOUBLE.match(text, at):
            self._at = match.end()
            return self._literal(match)
        if match := _ESCAPE.match(text, at):
            self._at = match.end()
            return match.group(1)
        if char := self._lonely(start):
            self._at += len(char)
            return char
        raise self._unknown()

    def _literal(self, match: re.Match[str]) -> str:
        if match.re is _SINGLE:
            return match.group(1)
        if match.re is _DOUBLE:
            return _DOUBLE_ESCAPE.sub(r"\1", match.group(1))
        if match["mark"] in match["body"].split("\n"):
            raise _not_understood("a here-document that ends before it seems to")
        return match["body"].rstrip("\n")

    def _lonely(self, start: int) -> str | None:
        """Special characters that mean nothing where they stand: `HEAD~1`, `a#b`, `[`, `]`, `{}`, `!`."""
        text, at = self._text, self._at
        if text[at] in "~#^" and at > start and text[at - 1] not in ":=" and text[start:at].isascii():
            return text[at] if _PLAIN.fullmatch(text[start:at].replace("~", "").replace("^", "")) else None
        for whole in ("{}", "[", "]", "!"):
            after = at + len(whole)
            if at == start and text.startswith(whole, at) and (after == len(text) or text[after] in _END):
                return whole
        return None

    def _unknown(self) -> Refused:
        char = self._text[self._at]
        what = _MEANINGS.get(char, f"the character `{char}`")
        return _not_understood(f"{what} cannot be judged beforehand; write it out, or quote it")


_MEANINGS = {
    "$": "an expansion (`$`)",
    "`": "a command substitution (a backquote)",
    "&": "a background command (`&`)",
    '"': "an expansion inside quotes",
    "'": "an open quote",
    "{": "a brace",
    "}": "a brace",
    "~": "the home folder (`~`)",
    "\\": "a backslash",
    "<": "this kind of redirect",
    ">": "this kind of redirect",
    "[": "a `[` pattern",
}
