"""What is allowed of test, check and build tools: they run the project's own code, as it is configured.

An option that names other code, another configuration, or a place outside the workspace is not in the tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from orchestrator.model.request import Level, Tool
from orchestrator.policy.finding import Refused, Touch, names
from orchestrator.policy.options import PLAIN_WORD, Grade, Parsed, Table, judge_by_table, read_options, table
from orchestrator.policy.shell_lex import Word

_TARGET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
_COVERAGE = re.compile(r"term|term-missing|term-missing:skip-covered|xml|json|html|annotate|lcov")
_GO_PACKAGE = re.compile(r"\.(?:/[A-Za-z0-9_./-]*)?|[A-Za-z0-9_-]+\.go")


def _runner(
    name: str, options: str, operands: str = "r*", check: Callable[[Parsed], None] | None = None
) -> Table:
    return table(name, options, operands, runs=True, check=check)


def _pytest(parsed: Parsed) -> None:
    for name, value in parsed.options:
        if name == "-p" and not value.startswith("no:"):
            raise Refused("`pytest -p` loads other code")
        if name == "--cov-report" and not _COVERAGE.fullmatch(value):
            raise Refused("`pytest --cov-report` with a place of its own")
        if name == "-W" and value not in ("ignore", "error", "default", "always", "once", "module"):
            raise Refused("`pytest -W` loads other code")


def _targets(parsed: Parsed) -> None:
    if not all(_TARGET.fullmatch(operand) for operand in parsed.operands):
        raise Refused("a target with a setting in it; run the targets as the project has them")


def _packages(parsed: Parsed) -> None:
    if any(
        not _GO_PACKAGE.fullmatch(operand) or ".." in operand.replace("...", "")
        for operand in parsed.operands
    ):
        raise Refused("a package outside the workspace")


def _vitest(parsed: Parsed) -> None:
    if parsed.operands and parsed.operands[0] not in ("run", "related") and "/" in parsed.operands[0][:1]:
        raise Refused("`vitest` outside the workspace")


_PYTEST = (
    "-qvxslh -k=t -m=t -n=s -p=s -r=s -W=s --tb=s --maxfail=n --lf --last-failed --ff --failed-first --nf"
    " --sw"
    " --stepwise --co --collect-only --quiet --verbose --verbosity=n --exitfirst --durations=n"
    " --durations-min=s"
    " --no-header --no-summary --showlocals --capture=s --color=s --cov=? --cov-report=s --no-cov"
    " --cov-branch"
    " --cov-fail-under=n --cov-append --timeout=s --strict-markers --strict-config --strict --markers"
    " --fixtures"
    " --import-mode=s --asyncio-mode=s --ignore=r --deselect=t --runxfail --dist=s --numprocesses=s"
    " --reruns=n"
    " --setup-show --setup-plan --setup-only --disable-warnings --version --full-trace --junitxml=w"
    " --junit-xml=w"
    " --random-order --randomly-seed=s --run-slow --runslow --snapshot-update --benchmark-only"
    " --benchmark-skip"
    " --doctest-modules --last-failed-no-failures=s --cache-clear --keep-duplicates --new-first"
    " --no-cov-on-fail"
)
_RUFF = (
    "-qvnes --fix --no-fix --diff --check --select=s --ignore=s --extend-select=s --extend-ignore=s"
    " --output-format=s"
    " --statistics --unsafe-fixes --no-cache --show-fixes --line-length=n --exclude=t --quiet"
    " --target-version=s --preview"
    " --show-files --exit-zero --verbose --line-length=n --no-unsafe-fixes --exit-non-zero-on-fix"
)
_CARGO = (
    "-qvr -p=s -j=n --release --all --workspace --package=s --lib --bins --bin=s --test=s --tests"
    " --example=s --examples"
    " --bench=s --benches --features=s -F=s --all-features --no-default-features --all-targets --quiet"
    " --verbose --offline"
    " --locked --frozen --jobs=n --no-run --no-fail-fast --doc --message-format=s --no-deps --check"
    " --keep-going"
    " --exclude=s --profile=s --fix --allow-dirty --allow-staged --color=s --tests"
)
_GO = (
    "-v -race -short -cover -failfast -json -x -n -a -run=t -skip=t -count=n -timeout=s -bench=t"
    " -benchmem -benchtime=s"
    " -parallel=n -p=n -tags=s -coverprofile=w -covermode=s -coverpkg=s -o=w -trimpath -shuffle=s -cpu=s"
    " -list=t -l"
)
_JEST = (
    "-itbwu --ci --coverage --bail=? --verbose --silent --runInBand --watchAll=? --watch=? --passWithNoTests"
    " --testNamePattern=t --testPathPattern=t --testPathPatterns=t --maxWorkers=s --no-coverage --forceExit"
    " --detectOpenHandles --listTests --onlyChanged --updateSnapshot --no-cache --colors --no-color --run"
    " --reporter=s"
    " --no-watch --logHeapUsage --changedSince=s --findRelatedTests --lastCommit --clearCache"
    " --testTimeout=n --allowOnly"
    " --hideSkippedTests --update --typecheck --coverage.enabled --fix --check --noEmit"
)


_TABLES = [
    _runner("pytest", _PYTEST, check=_pytest),
    _runner("unittest", "-vqfbc -k=t -s=r -p=t -t=r --verbose --quiet --failfast --buffer --start-directory=r"
            " --pattern=t --top-level-directory=r", "s*"),
    _runner("mypy", "-vp -p=s -m=s --strict --ignore-missing-imports --show-error-codes --pretty"
            " --no-error-summary"
            " --no-incremental --namespace-packages --explicit-package-bases --check-untyped-defs"
            " --disallow-untyped-defs"
            " --no-color-output --python-version=s --show-column-numbers --warn-unused-ignores"
            " --follow-imports=s"
            " --exclude=t --package=s --module=s --version --warn-unreachable --hide-error-context"
            " --show-traceback"),
    _runner("pyright", "--outputjson --stats --verbose --warnings --version"),
    _runner("black", "-qvl -l=n --check --diff --quiet --verbose --line-length=n --color --fast --version"
            " --preview"),
    _runner("isort", "-cqdv --check --check-only --diff --quiet --profile=s --verbose --version"),
    _runner("flake8", "-qv --max-line-length=n --select=s --ignore=s --extend-ignore=s --exclude=t"
            " --count --statistics"
            " --show-source --max-complexity=n --version"),
    _runner("pylint", "-E -d=s -e=s --disable=s --enable=s --errors-only --score=s --reports=s"
            " --output-format=s -j=n"
            " --version -r=s -s=s"),
    _runner("py_compile", "-q"),
    _runner("compileall", "-qf -l -j=n"),
    _runner("tox", "-pqvr -e=s -p=? --parallel=? --recreate --quiet --verbose -l --listenvs --version"
            " -a", ""),
    _runner("nox", "-lr -s=s -e=s --session=s --sessions=s --list --reuse-existing-virtualenvs -R", ""),
    _runner("make", "-skniBj -j=? --silent --keep-going --dry-run --always-make --jobs=? --no-print-directory"
            " --question --version --output-sync=?", "t*", _targets),
    _runner("just", "-l -n --list --dry-run --summary", "t*", _targets),
    _runner("jest", _JEST),
    _runner("vitest", _JEST, "t*", _vitest),
    _runner("mocha", "-bRt -R=s -g=t -t=n --bail --grep=t --timeout=n --exit --recursive --forbid-only"
            " --parallel"),
    _runner("eslint", "-h --fix --fix-dry-run --ext=s --max-warnings=n --quiet --format=s -f=s --cache"
            " --no-error-on-unmatched-pattern"
            " --report-unused-disable-directives --ignore-pattern=t --color --no-color --version"),
    _runner("prettier", "-clwu --check --write --list-different --ignore-unknown --no-color --version"
            " --log-level=s"),
    _runner("tsc", "-bvw --noEmit --build -p=r --project=r --pretty=? --strict --skipLibCheck"
            " --incremental --version --listFiles"
            " --noEmitOnError --verbose --force --dry --jsx=s --target=s --module=s --moduleResolution=s"
            " --esModuleInterop"),
    _runner("biome", "--write --fix --unsafe --max-diagnostics=n", "s*"),
    _runner("go-fmt", "-l -d -s -w -n -x"),
    _runner("gofmt", "-lds -w -e"),
    _runner("rustfmt", "--check --edition=s"),
    _runner("mvn", "-qBoeU -pl=s", "t*", _targets),
    _runner("gradle", "-qis --info --quiet --offline --no-daemon --stacktrace --continue --parallel"
            " --warn --tests=t", "t*", _targets),
    _runner("rspec", "-fbcP -f=s --format=s --fail-fast --only-failures --color --no-color -e=t"
            " --example=t --tag=s"),
    _runner("phpunit", "--filter=t --stop-on-failure --testdox --colors=? --verbose"),
    _runner("cmake-build", "--target=s -j=? --parallel=? --config=s --clean-first -v --verbose"),
    _runner("ctest", "-VQN -R=t -E=t -j=n --output-on-failure --verbose --test-dir=r", ""),
    _runner("shellcheck", "-S=s -s=s -e=s -f=s -x --severity=s --shell=s --exclude=s --format=s"),
]  # fmt: skip


_BY_NAME = {entry.name: entry for entry in _TABLES}
_RUFF_TABLE = _runner("ruff", _RUFF)
_CARGO_TABLE = _runner("cargo", _CARGO, "s*")
_CLIPPY_LINTS = re.compile(r"-[DWAF]|[a-z_:]+")
_GO_TABLE = table("go", _GO, "t*", runs=True, single_dash=True, check=_packages)
_NODE_TEST = _runner("node", "--test --test-only --test-name-pattern=t --test-reporter=s --test-concurrency=n"
                     " --experimental-strip-types --experimental-test-coverage --test-timeout=n"
                     " --enable-source-maps")  # fmt: skip
_NODE_CHECK = table("node", "-c --check", "r*")
_NPM_SCRIPT = _runner(
    "npm", "-s --silent --if-present -w=s --workspace=s --workspaces --quiet", "t*", _targets
)
_PYTHON_MODULES = names(
    "pytest unittest mypy pyright black isort flake8 pylint py_compile compileall tox nox"
)
_NPM_SHORT = frozenset(("test", "t", "tst"))
_YARN_SHORT = frozenset(("test", "lint", "build", "typecheck", "check", "format", "tsc", "type-check"))


#: They change what Python writes or prints, not what it runs.
_PYTHON_SWITCHES = frozenset({"-B", "-u", "-q", "-b", "-bb", "-O", "-OO", "-s", "-E"})


def judge_python(words: Sequence[Word]) -> Grade:
    """`python -m TOOL` for known tools; no code from the command line."""
    while words and words[0].text in _PYTHON_SWITCHES:
        words = words[1:]
    texts = [word.text for word in words]
    if texts in (["--version"], ["-V"]):
        return Grade(Level.SAFE)
    if texts[:1] == ["-m"] and len(texts) > 1:
        if texts[1] == "ruff":
            return judge_ruff(words[2:])
        if texts[1:4] == ["coverage", "run", "-m"] and texts[4:5] in (["pytest"], ["unittest"]):
            return judge_runner(texts[4], words[5:])
        if texts[1] in _PYTHON_MODULES:
            return judge_runner(texts[1], words[2:])
    raise Refused(
        "only `python -m` with a known test or check tool is allowed (pytest, unittest, mypy, ruff, …);"
        " put what you want to try into a test"
    )


def judge_runner(name: str, words: Sequence[Word]) -> Grade:
    """A tool that has a table. `tests/test_x.py::test_y` is the file before `::`."""
    grade = judge_by_table(_BY_NAME[name], words)
    if name != "pytest":
        return grade
    return grade._replace(touches=[Touch(tool, path.partition("::")[0]) for tool, path in grade.touches])


def judge_ruff(words: Sequence[Word]) -> Grade:
    """`ruff check` and `ruff format`."""
    if not words or words[0].text not in ("check", "format", "rule", "version", "--version"):
        raise Refused("only `ruff check` and `ruff format` are allowed")
    return judge_by_table(_RUFF_TABLE, words[1:])


def judge_coverage(words: Sequence[Word]) -> Grade:
    """`coverage run -m pytest` and its reports."""
    texts = [word.text for word in words]
    if texts[:2] == ["run", "-m"] and texts[2:3] in (["pytest"], ["unittest"]):
        return judge_runner(texts[2], words[3:])
    if texts[:1] in (["report"], ["combine"], ["erase"]):
        return judge_by_table(
            _runner("coverage", "-m -i --show-missing --skip-covered --fail-under=n", ""), words[1:]
        )
    raise Refused("only `coverage run -m pytest` and `coverage report` are allowed")


def judge_node(words: Sequence[Word]) -> Grade:
    """The built-in test runner and the syntax check; no code from the command line, no scripts."""
    texts = [word.text for word in words]
    if texts in (["--version"], ["-v"]):
        return Grade(Level.SAFE)
    if texts[:1] == ["--test"]:
        return judge_by_table(_NODE_TEST, words)
    if texts[:1] in (["--check"], ["-c"]):
        return judge_by_table(_NODE_CHECK, words)
    raise Refused("only `node --test` and `node --check` are allowed; put what you want to try into a test")


def judge_npm(words: Sequence[Word]) -> Grade:
    """The project's own scripts; nothing that fetches or configures."""
    return _script_runner("npm", words, short=_NPM_SHORT, run=("run", "run-script"))


def judge_yarn(words: Sequence[Word]) -> Grade:
    """The same for yarn, pnpm and bun."""
    return _script_runner("yarn", words, short=_YARN_SHORT, run=("run",))


def _script_runner(name: str, words: Sequence[Word], *, short: frozenset[str], run: tuple[str, ...]) -> Grade:
    texts = [word.text for word in words]
    if texts in (["--version"], ["-v"]):
        return Grade(Level.SAFE)
    if not texts or texts[0] not in (*short, *run):
        raise Refused(
            f"only `{name} test` and `{name} run SCRIPT` are allowed; packages come with the task's setup"
        )
    if texts == [texts[0]] and texts[0] in run:
        return Grade(Level.SAFE)  # lists the scripts
    end = texts.index("--") if "--" in texts else len(texts)
    grade = judge_by_table(_NPM_SCRIPT, words[1:end])
    passed_on = read_options(_BY_NAME["jest"], words[end + 1 :])
    if any(not PLAIN_WORD.fullmatch(operand) for operand in passed_on.operands):
        raise Refused(f"`{name}` with arguments that its shell would read again")
    return grade._replace(touches=[*grade.touches, *passed_on.touches])


def judge_npx(words: Sequence[Word]) -> Grade:
    """A tool that is installed already: `npx --no-install jest`."""
    texts = [word.text for word in words]
    if len(texts) < 2 or texts[0] not in ("--no-install", "--no") or texts[1] not in JS_TOOLS:
        raise Refused(
            "`npx` may fetch and run any package; use `npx --no-install TOOL`, or the project's scripts"
        )
    return judge_runner(texts[1], words[2:])


def judge_cargo(words: Sequence[Word]) -> Grade:
    """Build, check, test and format."""
    texts = [word.text for word in words]
    if texts in (["--version"], ["-V"]):
        return Grade(Level.SAFE)
    if not texts or texts[0] not in (
        "build",
        "b",
        "check",
        "c",
        "test",
        "t",
        "clippy",
        "fmt",
        "doc",
        "tree",
        "bench",
    ):
        raise Refused("only build, check, test, clippy, fmt, doc, tree and bench are allowed of `cargo`")
    end = texts.index("--") if "--" in texts else len(texts)
    grade = judge_by_table(_CARGO_TABLE, words[1:end])
    for word in words[end + 1 :]:
        plain = PLAIN_WORD.fullmatch(word.text.lstrip("-")) and "/" not in word.text
        known = texts[0] == "clippy" and _CLIPPY_LINTS.fullmatch(word.text)
        if not (known or ((plain and texts[0] in ("test", "t", "bench")) or word.text == "--check")):
            raise Refused(f"`cargo {texts[0]} -- {word.text}`")
    return grade


def judge_go(words: Sequence[Word]) -> Grade:
    """Build, test, vet and format."""
    texts = [word.text for word in words]
    if texts[:1] == ["version"]:
        return Grade(Level.SAFE)
    if not texts or texts[0] not in ("build", "test", "vet", "fmt", "list"):
        raise Refused("only build, test, vet, fmt and list are allowed of `go`")
    if texts[0] == "vet" and any(text.lstrip("-").startswith("vettool") for text in texts):
        raise Refused("`go vet -vettool` runs other programs")
    return judge_by_table(_GO_TABLE, words[1:])


def judge_cmake(words: Sequence[Word]) -> Grade:
    """`cmake --build FOLDER`."""
    if len(words) < 2 or words[0].text != "--build":
        raise Refused("only `cmake --build FOLDER` is allowed")
    grade = judge_by_table(_BY_NAME["cmake-build"], words[2:])
    return grade._replace(touches=[*grade.touches, Touch(Tool.READ, words[1].text)])


def judge_activate(words: Sequence[Word]) -> Grade:
    """`source .venv/bin/activate`, and no other script."""
    if [word.text.removeprefix("./") for word in words] not in (
        ["venv/bin/activate"],
        [".venv/bin/activate"],
    ):
        raise Refused("only `source .venv/bin/activate` is allowed", rule="not_understood")
    return Grade(Level.CAUTION, [Touch(Tool.READ, words[0].text)], runs=True)


JS_TOOLS = frozenset(("jest", "vitest", "mocha", "eslint", "prettier", "tsc", "biome"))
PYTHON_TOOLS = names("pytest mypy pyright black isort flake8 pylint tox nox ruff coverage python python3")
_PLAIN_RUNNERS = names(
    "pytest mypy pyright black isort flake8 pylint tox nox make just jest vitest mocha eslint prettier tsc"
    " biome gofmt rustfmt mvn gradle rspec phpunit ctest shellcheck"
)


def _judge_of(name: str) -> Callable[[Sequence[Word]], Grade]:
    return lambda words: judge_runner(name, words)


RUNNERS: dict[str, Callable[[Sequence[Word]], Grade]] = {
    **{name: _judge_of(name) for name in _PLAIN_RUNNERS},
    "python": judge_python,
    "python3": judge_python,
    "ruff": judge_ruff,
    "coverage": judge_coverage,
    "node": judge_node,
    "npm": judge_npm,
    "yarn": judge_yarn,
    "pnpm": judge_npm,
    "bun": judge_yarn,
    "npx": judge_npx,
    "cargo": judge_cargo,
    "go": judge_go,
    "cmake": judge_cmake,
    "source": judge_activate,
    ".": judge_activate,
}
