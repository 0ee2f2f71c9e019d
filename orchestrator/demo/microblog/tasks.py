"""The eight tasks of MicroBlog, each with a script for the demo agent."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from orchestrator.demo.microblog.repository import SCAFFOLD
from orchestrator.model.task import Task

#: clean: nobody touches a shared file. contended: every task adds a dependency to pyproject.toml.
Variant = Literal["clean", "contended"]

_HERE = Path(__file__).parent
_MANIFEST = "pyproject.toml"
_PREAMBLE = """\
Work only in this folder. Create exactly the files that are listed. Keep to docs/CONTRACT.md.
The module's tests must pass alone. Commit once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    """One module: who builds it, how long it takes, and what it brings."""

    worker_id: str
    name: str
    scope: str
    units: int
    check: str
    dependency: str
    files: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        return self.worker_id.split("_")[1]


_MODULES = (
    _Module(
        worker_id="worker_01_post_list_ui",
        name="Post list",
        scope="post-list",
        units=20,
        check="tests.test_post_list",
        dependency="markupsafe>=3",
        files=(
            "microblog/ui/post_summary.py",
            "microblog/ui/post_list.py",
            "tests/test_post_list.py",
        ),
    ),
    _Module(
        worker_id="worker_02_auth_ui",
        name="Login and sign-up forms",
        scope="auth-ui",
        units=20,
        check="tests.test_auth_form",
        dependency="email-validator>=2",
        files=(
            "microblog/ui/auth_form.py",
            "microblog/ui/login_form.py",
            "microblog/ui/signup_form.py",
            "tests/test_auth_form.py",
        ),
    ),
    _Module(
        worker_id="worker_03_post_api",
        name="Posts API",
        scope="post-api",
        units=25,
        check="tests.test_posts_api",
        dependency="pydantic>=2",
        files=(
            "microblog/api/validation.py",
            "microblog/api/post_controller.py",
            "microblog/api/posts.py",
            "tests/test_posts_api.py",
        ),
    ),
    _Module(
        worker_id="worker_04_auth_api",
        name="Authentication API",
        scope="auth-api",
        units=25,
        check="tests.test_auth_api",
        dependency="pyjwt>=2",
        files=(
            "microblog/api/auth_controller.py",
            "microblog/api/auth_middleware.py",
            "microblog/api/auth.py",
            "tests/test_auth_api.py",
        ),
    ),
    _Module(
        worker_id="worker_05_comment_api",
        name="Comments API",
        scope="comment-api",
        units=20,
        check="tests.test_comments_api",
        dependency="bleach>=6",
        files=(
            "microblog/api/comment_controller.py",
            "microblog/api/comments.py",
            "tests/test_comments_api.py",
        ),
        needs=("worker_03_post_api",),
    ),
    _Module(
        worker_id="worker_06_database_schema",
        name="Database schema",
        scope="database-schema",
        units=20,
        check="tests.test_schema",
        dependency="alembic>=1",
        files=(
            "db/schema.sql",
            "db/migrations/001_initial_schema.sql",
            "docs/DATABASE_DESIGN.md",
        ),
    ),
    _Module(
        worker_id="worker_07_data_access",
        name="Repositories",
        scope="data-access",
        units=25,
        check="tests.test_repositories",
        dependency="sqlalchemy>=2",
        files=(
            "microblog/repositories/interfaces.py",
            "microblog/repositories/users.py",
            "microblog/repositories/posts.py",
            "microblog/repositories/comments.py",
            "tests/test_repositories.py",
        ),
        needs=("worker_06_database_schema",),
    ),
    _Module(
        worker_id="worker_08_cicd",
        name="Pipeline",
        scope="cicd",
        units=20,
        check="tests.test_pipeline",
        dependency="coverage>=7",
        files=(
            ".github/workflows/ci.yml",
            ".github/workflows/deploy.yml",
            "Dockerfile",
            "Makefile",
            "docs/DEPLOYMENT.md",
        ),
    ),
)


def microblog_tasks(
    unit_s: float = 0.1, variant: Variant = "clean", *, needs: bool = False
) -> tuple[Task, ...]:
    """Return the eight tasks; one unit of their durations (20 or 25) takes `unit_s` seconds.

    With `needs`, module 5 waits for module 3 and module 7 for module 6.
    """
    return tuple(
        Task(
            id=module.worker_id,
            name=module.name,
            prompt=_prompt(module, unit_s, variant),
            needs=module.needs if needs else (),
            files=module.files,
            may_touch=(_MANIFEST,) if variant == "contended" else (),
            agent="demo",
            estimate_s=module.units * unit_s,
            verify=(_verify(module),),
        )
        for module in _MODULES
    )


def microblog_gate() -> str:
    """Return the command that runs the tests of all modules together."""
    return f"{shlex.quote(sys.executable)} -B -m unittest"


def _verify(module: _Module) -> str:
    """The module is there, and its own tests pass."""
    return f"test -f {module.files[0]} && {microblog_gate()} {module.check}"


def _prompt(module: _Module, unit_s: float, variant: Variant) -> str:
    spec = (SCAFFOLD / f"docs/task_module_{module.number}.md").read_text(encoding="utf-8")
    script = ",\n ".join(json.dumps(step) for step in _script(module, unit_s, variant))
    return f"{spec}\n{_PREAMBLE}\n```demo\n[{script}]\n```\n"


def _script(module: _Module, unit_s: float, variant: Variant) -> list[dict[str, Any]]:
    """Read for 2/5 of the time, write, test for the rest, commit."""
    seconds = module.units * unit_s
    reading = [f"Reading docs/task_module_{module.number}.md", "Reading docs/CONTRACT.md"]
    writes = [
        {"write": {"path": path, "copy": f"microblog/modules/{module.worker_id}/{path}"}}
        for path in module.files
    ]
    if variant == "contended":
        writes.append({"write": {"path": _MANIFEST, "text": _manifest_with(module.dependency)}})
    return [
        {"say": f"I will build the {module.name.lower()}."},
        {"work": {"seconds": round(seconds * 0.4, 3), "lines": reading}},
        *writes,
        {"work": {"seconds": round(seconds * 0.6, 3), "lines": [f"Running {module.check}"]}},
        {"commit": f"feat({module.scope}): {module.name.lower()}"},
        {"say": f"The {module.name.lower()} is done: {len(module.files)} files, committed."},
    ]


def _manifest_with(dependency: str) -> str:
    manifest = (SCAFFOLD / _MANIFEST).read_text(encoding="utf-8")
    return manifest.replace("dependencies = []", f'dependencies = [\n    "{dependency}",\n]')


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a person can read and change them."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def task_file_text(tasks: Sequence[Task]) -> str:
    """Return the same tasks as a task file, for `orchestrator run`."""
    gate = {"verify": [microblog_gate()], "land": True}
    document = {"version": 1, "agent": "demo", **gate, "tasks": [_entry(task) for task in tasks]}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _entry(task: Task) -> dict[str, Any]:
    lists = {"needs": task.needs, "files": task.files, "may_touch": task.may_touch, "verify": task.verify}
    entry = {"id": task.id, "name": task.name, "estimate": task.estimate_s, "prompt": task.prompt}
    return entry | {key: list(values) for key, values in lists.items() if values}
