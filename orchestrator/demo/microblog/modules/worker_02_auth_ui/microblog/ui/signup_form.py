"""The sign-up form."""

from __future__ import annotations

from collections.abc import Mapping

from microblog.ui.auth_form import email_fault, faults, field, form, password_fault

_NONE: Mapping[str, str] = {}


def validate(values: Mapping[str, str]) -> dict[str, str]:
    """Return a message for each field that is wrong."""
    password = values.get("password", "")
    same = values.get("confirmation", "") == password
    return faults(
        {
            "name": None if values.get("name", "").strip() else "is required",
            "email": email_fault(values.get("email", "")),
            "password": password_fault(password),
            "confirmation": None if same else "differs from the password",
        }
    )


def render(
    values: Mapping[str, str], errors: Mapping[str, str] = _NONE, busy: bool = False, server_error: str = ""
) -> str:
    """Return the form."""
    fields = [
        field("name", "Name", "text", values, errors),
        field("email", "E-mail", "email", values, errors),
        field("password", "Password", "password", values, errors),
        field("confirmation", "Password again", "password", values, errors),
    ]
    return form("Sign up", "/signup", fields, busy, server_error)
