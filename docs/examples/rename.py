"""Renames Python identifiers. The prompt is its orders: a line `old -> new` for each name.

    python rename.py FOLDER... < orders

Needs libcst. Comments and strings stay as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import libcst as cst

ORDER = re.compile(r"^\s*(\w+)\s*->\s*(\w+)\s*$", re.MULTILINE)


class Rename(cst.CSTTransformer):
    """Replaces every name that an order is given for."""

    def __init__(self, orders: dict[str, str]) -> None:
        super().__init__()
        self.orders = orders

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:  # noqa: N802 (libcst's)
        del original_node
        return updated_node.with_changes(value=self.orders.get(updated_node.value, updated_node.value))


def main(folders: list[str]) -> int:
    """Rewrite the files that change; fail when there was nothing to do."""
    orders = dict(ORDER.findall(sys.stdin.read()))
    changed = 0
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.py")):
        text = path.read_bytes()
        if not any(old.encode() in text for old in orders):
            continue
        renamed = cst.parse_module(text).visit(Rename(orders)).bytes
        if renamed != text:
            path.write_bytes(renamed)
            changed += 1
            print(f"rewrote {path}")
    print(f"{len(orders)} names, {changed} files")
    return 0 if changed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
