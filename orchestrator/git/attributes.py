"""Attributes that decide how files are merged, laid where git looks for them during a merge in memory.

Git reads `.gitattributes` from a checkout, which a merge in memory does not have. Drivers that they name
are not configured in a shield, so git's own are the only ones that run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePosixPath

from orchestrator.git.merging import attributes_folder
from orchestrator.git.shield import Shield

_NAME = ".gitattributes"
_REGULAR = b"blob"


def lay_attributes(shield: Shield, commit: str, folders: Iterable[str]) -> None:
    """Lay the attribute files that `commit` has in `folders` and at its root. `.` is the root."""
    wanted = sorted({"."} | {folder for folder in folders if "\n" not in folder})
    paths = [str(PurePosixPath(folder, _NAME)) for folder in wanted]
    asked = b"".join(os.fsencode(f"{commit}:{path}\n") for path in paths)
    rest = shield.run(["cat-file", "--batch"], input=asked).stdout
    place = attributes_folder(shield)
    for path in paths:
        header, _, rest = rest.partition(b"\n")
        if header.endswith(b" missing"):
            continue
        _, kind, length = header.rsplit(b" ", 2)
        content, rest = rest[: int(length)], rest[int(length) + 1 :]
        if kind == _REGULAR:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)


def paths_with_driver(shield: Shield, paths: Iterable[str]) -> frozenset[str]:
    """Return those of `paths` for which some attribute says how they are merged."""
    listed = list(paths)
    place = attributes_folder(shield)
    rules = shield.git_dir / "info" / "attributes"
    if not listed or (not any(place.iterdir()) and not (rules.is_file() and rules.read_bytes().strip())):
        return frozenset()
    asked = b"".join(os.fsencode(path) + b"\0" for path in listed)
    argv = ["check-attr", "-z", "--stdin", "merge"]
    fields = shield.run(argv, work_tree=place, input=asked).stdout.split(b"\0")
    told = zip(fields[::3], fields[2::3], strict=False)
    return frozenset(os.fsdecode(path) for path, value in told if value != b"unspecified")
