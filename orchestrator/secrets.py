"""Takes secrets out of text that is kept or shown: known values, and what looks like a common token.

One mask for every sink: the journal and all that is derived from it, logs, crash reports. What is masked
stays as it is when it is masked again.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

MASKED = "***"
#: Shorter values are words of the language; masking them would tell more than it hides.
MIN_LENGTH = 8
_MIN_LINE = 16  #: of a value of many lines, such as a key file
_MIN_PART = 4  #: of a value that was cut for display
_HOLD = 64 * 1024  #: of a stream; one word, or one private key, that is longer is masked in pieces

_NAME = re.compile(
    r"(?i)secret|passw(?:or)?d|passphrase|credential|api[_-]?key|(?:token|pwd|cookie)(?![a-z])"
    r"|(?:^|[_-])(?:key|auth|authorization|pat|dsn)(?:$|[_-])"
)
_FOLDERS = frozenset({"PWD", "OLDPWD"})  #: what shells call the folder they are in
_KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_WORD = r"[A-Za-z0-9_-]"
_ALONE = rf"(?<!{_WORD})"  # only at the beginning of a word, so that a long word is read once
#: A text that must be there for the pattern to be tried at all, the pattern, and what takes its place.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = tuple(
    (needles, re.compile(pattern), replacement)
    for needles, pattern, replacement in (
        (
            ("PRIVATE KEY",),
            rf"{_KEY_BEGIN}(?:[\s\S]*?{_KEY_END}|[\s\S]*)",
            MASKED,
        ),
        (
            ("uthorization", "UTHORIZATION"),
            r"(?i)(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:bearer|basic|token)\s{1,4})[^\s\"',;]{4,}",
            rf"\1{MASKED}",
        ),
        (("earer ", "EARER "), r"(?i)(\bbearer )[A-Za-z0-9._~+/=-]{16,}", rf"\1{MASKED}"),
        (("://",), r"(://[^\s/:@\"'<>]{0,128}:)[^\s/@\"'<>]{1,256}(?=@)", rf"\1{MASKED}"),
        (("gh",), r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{20,}", MASKED),
        (("github_pat_",), r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{20,}", MASKED),
        (("sk-",), rf"{_ALONE}sk-(?={_WORD}{{0,256}}[0-9]){_WORD}{{16,}}", MASKED),
        (("_live_", "_test_"), r"(?<![A-Za-z0-9_])[sr]k_(?:live|test)_[A-Za-z0-9]{16,}", MASKED),
        (("AKIA", "ASIA"), r"(?<![A-Za-z0-9])A[KS]IA[0-9A-Z]{16}(?![A-Za-z0-9])", MASKED),
        (("xox", "xapp-"), rf"{_ALONE}(?:xox[abeprs]|xapp)-[A-Za-z0-9-]{{10,}}", MASKED),
        (("glpat-",), rf"{_ALONE}glpat-{_WORD}{{16,}}", MASKED),
        (("npm_",), r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{30,}", MASKED),
        (("pypi-",), rf"{_ALONE}pypi-{_WORD}{{32,}}", MASKED),
        (("AIza",), rf"{_ALONE}AIza{_WORD}{{35,}}", MASKED),
        (("hf_",), r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}", MASKED),
        (("eyJ",), rf"{_ALONE}eyJ{_WORD}{{8,}}\.eyJ{_WORD}{{8,}}(?:\.{_WORD}*)?", MASKED),
    )
)
_KEY_BEGINS = re.compile(_KEY_BEGIN)
_BETWEEN_WORDS = " \n\r\t\x1b\0"
#: What stands before a secret in the same line, with a space between.
_CONTEXT = re.compile(r"(?i)authorization|bearer|-----(?:begin|end)")


def looks_secret(name: str) -> bool:
    """Whether a variable or a field with this name holds a secret by all appearance."""
    return name not in _FOLDERS and _NAME.search(name) is not None


def secret_values(environment: Mapping[str, str], passed: Collection[str] = ()) -> list[str]:
    """The values to mask: of variables that look secret, and of those that were `passed` on purpose.

    What was passed and is nothing but paths is no secret.
    """
    return [
        value
        for name, value in environment.items()
        if looks_secret(name) or (name in passed and not _is_path(value))
    ]


def user_mask() -> Mask:
    """Return the mask of what the user's own environment holds."""
    return Mask(secret_values(os.environ))


class Mask:
    """Masks these values, wherever they stand, and every common kind of token."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = {form for value in values for form in _forms(value)}
        self._values = sorted(known, key=lambda form: (-len(form), form))  # the whole before its parts
        self._of_words = [form for form in self._values if any(map(form.__contains__, _BETWEEN_WORDS))]

    def text(self, text: str) -> str:
        """Return `text` without its secrets, also without one of which an ellipsis hides a part."""
        for value in self._values:
            if value in text:
                text = text.replace(value, MASKED)
        if "…" in text:
            text = self._without_parts(text)
        for needles, pattern, replacement in _SHAPES:
            if any(needle in text for needle in needles):
                text = pattern.sub(replacement, text)
        return text

    def data(self, value: Any) -> Any:
        """Return JSON-like data with every text in it masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return value

    def open_value(self, text: str) -> int | None:
        """Where a value of several words begins of which `text` may hold the first part only."""
        begins = (_begin_at_end(value, text) for value in self._of_words)
        return min((at for at in begins if at is not None), default=None)

    def _without_parts(self, text: str) -> str:
        shown, *rest = text.split("…")
        for after in rest:
            shown = f"{self._without_begin(shown)}…{self._without_end(after)}"
        return shown

    def _without_begin(self, text: str) -> str:
        """Take off the first part of a value with which `text` ends."""
        for value in self._values:
            at = _begin_at_end(value, text)
            if at is not None and len(text) - at >= _MIN_PART:
                return text[:at] + MASKED
        return text

    def _without_end(self, text: str) -> str:
        """Take off the last part of a value with which `text` begins."""
        for value in self._values:
            size = _end_at_begin(value, text)
            if size >= _MIN_PART:
                return MASKED + text[size:]
        return text


class StreamMask:
    """Masks bytes that come in pieces: holds back what may be the first part of a secret."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""

    def feed(self, data: bytes) -> bytes:
        """Take more; return what of all that was taken is settled."""
        text = self._held + self._decoder.decode(data)
        cut = self._settled(text)
        if len(text) - cut > _HOLD:
            cut = len(text)
        self._held = text[cut:]
        return self._masked(text[:cut])

    def rest(self) -> bytes:
        """Return what is held back: nothing more comes."""
        text = self._held + self._decoder.decode(b"", final=True)
        self._held = ""
        return self._masked(text)

    def _masked(self, text: str) -> bytes:
        return self._mask.text(text).encode("utf-8", "surrogateescape")

    def _settled(self, text: str) -> int:
        """How much of `text` no secret can begin in that is not whole yet."""
        before, cut = -1, 1 + max(map(text.rfind, _BETWEEN_WORDS))
        while cut != before:
            before, cut = cut, self._before_secret(text, cut)
        return cut

    def _before_secret(self, text: str, cut: int) -> int:
        """Return `cut`, or an earlier place where it would part something that may be a secret."""
        line = text.rfind("\n", 0, cut) + 1
        if _CONTEXT.search(text, line):
            cut = line
        begins = (self._mask.open_value(text[:cut]), unfinished_key(text[:cut]))
        return min((begin for begin in begins if begin is not None), default=cut)


def _begin_at_end(value: str, text: str) -> int | None:
    """Where in `text` a first part of `value` begins that reaches to the end of `text`."""
    at = text.find(value[0], max(0, len(text) - len(value) + 1))
    while at >= 0 and not value.startswith(text[at:]):
        at = text.find(value[0], at + 1)
    return at if at >= 0 else None


def _end_at_begin(value: str, text: str) -> int:
    """How many characters at the beginning of `text` are a last part of `value`."""
    longest = min(len(value) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if value.endswith(text[:size])), 0)


def unfinished_key(text: str) -> int | None:
    """Where a private key begins whose end is not in `text`; None without one. For text read in pieces."""
    begins = text.rfind("-----BEGIN ")
    if begins < 0 or not _KEY_BEGINS.match(text, begins) or "-----END " in text[begins:]:
        return None
    return begins


def _forms(value: str) -> Iterable[str]:
    """The value as it is, as JSON and URLs write it, and each long line of it."""
    if len(value.strip()) < MIN_LENGTH:
        return
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="", errors="replace")
    for line in value.splitlines():
        if len(line.strip()) >= _MIN_LINE:
            yield line.strip()


def _is_path(value: str) -> bool:
    return all(part.startswith("/") and os.path.lexists(part) for part in value.split(os.pathsep))
