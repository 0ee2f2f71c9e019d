"""What the login and sign-up forms share: validation and fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def email_fault(value: str) -> str | None:
    """Say what is wrong with an e-mail address."""
    return None if _EMAIL.fullmatch(value) else "this is not an e-mail address"


def password_fault(value: str) -> str | None:
    """Say what is wrong with a password."""
    if len(value) < 8:
        return "at least 8 characters"
    if not re.search(r"[A-Za-z]", value) or not re.search(r"\d", value):
        return "at least a letter and a digit"
    return None


def faults(found: Mapping[str, str | None]) -> dict[str, str]:
    """Keep the fields that have a fault."""
    return {name: fault for name, fault in found.items() if fault}


def field(name: str, label: str, kind: str, values: Mapping[str, str], errors: Mapping[str, str]) -> str:
    """Return one labelled field, with its message linked to it. A password is never written back."""
    value = "" if kind == "password" else f' value="{escape(values.get(name, ""))}"'
    error = errors.get(name)
    link = f' aria-invalid="true" aria-describedby="{name}-error"' if error else ""
    message = f'<span class="error" id="{name}-error">{escape(error)}</span>' if error else ""
    return f'<label>{label} <input type="{kind}" name="{name}"{value}{link} required></label>{message}'


def form(title: str, action: str, fields: list[str], busy: bool, server_error: str) -> str:
    """Return the whole form."""
    alert = f'<p class="error" role="alert">{escape(server_error)}</p>' if server_error else ""
    button = (
        '<button disabled aria-busy="true">One moment\u2026</button>' if busy else f"<button>{title}</button>"
    )
    return f'<h1>{title}</h1>{alert}<form method="post" action="{action}">{"".join(fields)}<p>{button}</p></form>'
