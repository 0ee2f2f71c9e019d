"""Takes secrets out of text that is kept or shown: known values, and what looks like a common token.

One mask for every sink: the journal and all that is derived from it, logs, crash reports. What is masked
stays as it is when it is masked again.
"""

from __future__ import annotations

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

_NAME = re.compile(
    r"(?i)secret|passw(?:or)?d|passphrase|credential|api[_-]?key|(?:token|pwd|cookie)(?![a-z])"
    r"|(?:^|[_-])(?:key|auth|authorization|pat|dsn)(?:$|[_-])"
)
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


def looks_secret(name: str) -> bool:
    """Whether a variable or a field with this name holds a secret by all appearance."""
    return _NAME.search(name) is not None


def secret_values(environment: Mapping[str, str], passed: Collection[str] = ()) -> list[str]:
    """The values to mask: of variables that look secret, and of those that were `passed` on purpose.

    What was passed and is nothing but paths is no secret.
    """
    return [
        value
        for name, value in environment.items()
        if looks_secret(name) or (name in passed and not _is_path(value))
    ]


class Mask:
    """Masks these values, wherever they stand, and every common kind of token."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = {form for value in values for form in _forms(value)}
        ordered = sorted(known, key=lambda form: (-len(form), form))  # the whole before its parts
        self._values = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return `text` without its secrets."""
        if self._values:
            text = self._values.sub(MASKED, text)
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
    yield quote(value, safe="")
    for line in value.splitlines():
        if len(line.strip()) >= _MIN_LINE:
            yield line.strip()


def _is_path(value: str) -> bool:
    return all(part.startswith("/") and os.path.lexists(part) for part in value.split(os.pathsep))
