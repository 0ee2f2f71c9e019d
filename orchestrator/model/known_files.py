"""Names of files that mean the same in every project."""

from __future__ import annotations

#: Written by package managers; nobody edits them, and no text merge of two is right.
LOCK_FILES = frozenset(
    {
        *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"),
        *("Cargo.lock", "poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "composer.lock"),
        *("Gemfile.lock", "go.sum", "flake.lock", "mix.lock", "deno.lock", "gradle.lockfile", "pubspec.lock"),
    }
)
