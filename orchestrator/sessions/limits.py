"""The limit on open descriptors: raised once for this process, handed back to its children."""

from __future__ import annotations

import resource
from contextlib import suppress
from functools import cache

_MACOS_MOST = 10_240  # its kernel refuses more, whatever the hard limit says


@cache
def raise_descriptor_limit() -> int:
    """Raise the soft limit as far as it goes; return what it was, which is what programs expect."""
    original, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _MACOS_MOST):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    return original
