"""Sign-up, login, logout: passwords and tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import time
from typing import Any

from microblog.domain import Repositories, as_json, new_id
from microblog.web import HttpError, Request, Response, json_response

LIFETIME = 900
_COST = {"n": 2**12, "r": 8, "p": 1}


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Return the salted hash of a password."""
    salt = salt or os.urandom(16)
    return f"{salt.hex()}:{hashlib.scrypt(password.encode(), salt=salt, **_COST).hex()}"


def password_is(password: str, hashed: str) -> bool:
    """Whether a hash is that of a password."""
    salt = bytes.fromhex(hashed.partition(":")[0])
    return hmac.compare_digest(hash_password(password, salt), hashed)


class Tokens:
    """Signed tokens that expire and can be refused."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._refused: set[str] = set()

    def issue(self, user_id: str, lifetime: float = LIFETIME) -> str:
        """Return a token for a user."""
        claims = {"sub": user_id, "exp": time.time() + lifetime, "jti": new_id()}
        head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        signed = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def claims(self, token: str) -> dict[str, Any] | None:
        """Return a token's claims; None when it is forged, expired or refused."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._sign(signed).encode(), signature.encode()):
            return None
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        return None if claims["exp"] <= time.time() or claims["jti"] in self._refused else claims

    def refuse(self, token: str) -> None:
        """Refuse a token from now on."""
        if claims := self.claims(token):
            self._refused.add(claims["jti"])

    def _sign(self, text: str) -> str:
        return _encode(hmac.digest(self._secret, text.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def tokens_of(settings: dict[str, Any]) -> Tokens:
    """Return the site's tokens, the same ones for every part of it."""
    tokens: Tokens = settings.setdefault("tokens", Tokens(settings["secret"]))
    return tokens


class AuthController:
    """Answers what a person does to get in and out."""

    def __init__(self, repos: Repositories, tokens: Tokens) -> None:
        self._users, self._tokens = repos.users, tokens

    def signup(self, request: Request) -> Response:
        """Make an account."""
        body = request.json()
        email, password, name = (str(body.get(key) or "").strip() for key in ("email", "password", "name"))
        faults = {
            "email": "is not an e-mail address"
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email)
            else "",
            "password": "needs 8 characters, a letter and a digit" if _weak(password) else "",
            "name": "" if name else "is required",
        }
        if faults := {field: fault for field, fault in faults.items() if fault}:
            raise HttpError(400, "invalid", "some fields are not valid", faults)
        if self._users.by_email(email.lower()):
            raise HttpError(409, "conflict", "this address has an account already")
        return json_response(as_json(self._users.add(email.lower(), hash_password(password), name)), 201)

    def login(self, request: Request) -> Response:
        """Return a token."""
        body = request.json()
        user = self._users.by_email(str(body.get("email", "")).lower())
        if user is None or not password_is(str(body.get("password", "")), user.password):
            raise HttpError(401, "unauthorized", "wrong address or password")
        return json_response({"token": self._tokens.issue(user.id), "user": as_json(user)})

    def logout(self, request: Request) -> Response:
        """Refuse the token that was sent."""
        self._tokens.refuse(bearer(request))
        return json_response(None, 204)

    def me(self, request: Request) -> Response:
        """Return who is logged in."""
        if request.user is None:
            raise HttpError(401, "unauthorized", "log in first")
        return json_response(as_json(request.user))


def bearer(request: Request) -> str:
    """Return the token that came with a request."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _weak(password: str) -> bool:
    return len(password) < 8 or not re.search(r"[A-Za-z]", password) or not re.search(r"\d", password)
