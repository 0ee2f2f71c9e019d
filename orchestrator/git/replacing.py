"""Changing files of a tree in the object store, without an index or a checkout."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from orchestrator.git.shield import Shield


def read_objects(shield: Shield, object_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the content of some blobs. Raises GitError when one is missing."""
    wanted = list(dict.fromkeys(object_ids))
    asked = "".join(f"{object_id}\n" for object_id in wanted).encode("ascii")
    rest = shield.run(["cat-file", "--batch"], input=asked).stdout if wanted else b""
    found = {}
    for object_id in wanted:
        header, _, rest = rest.partition(b"\n")
        size = int(header.rsplit(b" ", 1)[1])
        found[object_id], rest = rest[:size], rest[size + 1 :]
    return found


def write_blob(shield: Shield, content: bytes) -> str:
    """Write a blob and return its id; no filter is applied."""
    output = shield.run(["hash-object", "-w", "--stdin", "--no-filters"], input=content)
    return output.stdout.decode("ascii").strip()


def replace_blobs(shield: Shield, tree: str, blobs: Mapping[str, str]) -> str:
    """Return `tree` with other content at some of its paths, which keep their modes."""
    return _replaced(shield, tree, {os.fsencode(path): blob for path, blob in blobs.items()})


def _replaced(shield: Shield, tree: str, blobs: Mapping[bytes, str]) -> str:
    if not blobs:
        return tree
    folders: dict[bytes, dict[bytes, str]] = {}
    for path, blob in blobs.items():
        name, _, rest = path.partition(b"/")
        folders.setdefault(name, {})[rest] = blob
    entries = []
    for line in shield.run(["ls-tree", "-z", tree]).stdout.split(b"\0")[:-1]:
        facts, _, name = line.partition(b"\t")
        mode, kind, object_id = facts.split(b" ")
        if name in folders:
            within = folders[name]
            new = within[b""] if b"" in within else _replaced(shield, object_id.decode("ascii"), within)
            object_id = new.encode("ascii")
        entries.append(b"%s %s %s\t%s\0" % (mode, kind, object_id, name))
    output = shield.run(["mktree", "-z", "--missing"], input=b"".join(entries))
    return output.stdout.decode("ascii").strip()
