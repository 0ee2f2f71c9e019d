"""The login form."""

from __future__ import annotations

from collections.abc import Mapping

from microblog.ui.auth_form import email_fault, faults, field, form

_NONE: Mapping[str, str] = {}


def validate(values: Mapping[str, str]) -> dict[str, str]:
    """Return a message for each field that is wrong."""
    return faults(
        {
            "email": email_fault(values.get("email", "")),
            "password": None if values.get("password") else "is required",
        }
    )


def render(
    values: Mapping[str, str], errors: Mapping[str, str] = _NONE, busy: bool = False, server_error: str = ""
) -> str:
    """Return the form."""
    fields = [
        field("email", "E-mail", "email", values, errors),
        field("password", "Password", "password", values, errors),
    ]
    return form("Log in", "/login", fields, busy, server_error)
