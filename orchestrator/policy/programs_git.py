"""What is allowed of git: looking, and committing on the worker's own branch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.model.request import Level, Tool
from orchestrator.policy.finding import Refused, Touch
from orchestrator.policy.options import Check, Grade, Parsed, Table, judge_by_table, table
from orchestrator.policy.shell_lex import Word

_CAUTION = Level.CAUTION
_FORCE = re.compile(r"--(?:force|mirror|delete|prune|all)|-[a-z]*[fd][a-z]*|[+:].*")
_KEY = re.compile(r"[A-Za-z0-9.-]+")

_DIFF = (
    " -abBCMpRuwz -U=n --stat=? --shortstat --numstat --name-only --name-status --summary --patch --no-patch"
    " --cached --staged --color=? --no-color --word-diff=? --check --exit-code --quiet --unified=n --minimal"
    " --patience --histogram --ignore-all-space --ignore-space-change --ignore-blank-lines --find-renames=?"
    " --diff-filter=s --compact-summary --dirstat=? --raw --relative=? --function-context --no-ext-diff"
    " --merge-base"
    " --no-renames -W --full-index --binary --no-prefix --text --abbrev=? --diff-algorithm=s"
)
_LOG = (
    _DIFF
    + " -n=n -s -c -i -S=t -G=t -m --oneline --graph --all --decorate=? --no-decorate --pretty=? --format=t"
    " --author=t --committer=t --grep=t --since=t --until=t --after=t --before=t --follow --merges"
    " --no-merges"
    " --first-parent --reverse --abbrev-commit --date=t --branches=? --tags=? --remotes=? --max-count=n"
    " --skip=n"
    " --topo-order --date-order --left-right --cherry-pick --cherry-mark --boundary --simplify-by-decoration"
    " --full-history --pickaxe-regex --no-walk --source --no-abbrev-commit --regexp-ignore-case --count"
    " --show-pulls --not --extended-regexp --perl-regexp --fixed-strings --invert-grep --all-match -L=t"
)


def _own_paths(parsed: Parsed) -> None:
    """Outside a repository, or with a path outside of it, `git diff` compares any two files."""
    for operand in parsed.operands:
        if operand.startswith(("/", "~")) or ".." in operand.split("/"):
            raise Refused(f"`{operand}`: git is only to be asked about the workspace's own files")


def _no_signature(parsed: Parsed) -> None:
    _own_paths(parsed)
    if any("%G" in value for _, value in parsed.options):
        raise Refused("a format that starts the signature program")


def _only_listing(parsed: Parsed) -> None:
    listing = parsed.has("-l", "--list", "--contains", "--merged", "--no-merged", "--points-at")
    if parsed.operands and not listing:
        raise Refused("making or moving a branch or tag; stay on the branch you were given")


def _message(parsed: Parsed) -> None:
    _own_paths(parsed)
    if not parsed.has("-m", "--message", "-F", "--file", "--no-edit"):
        raise Refused("`git commit` without `-m` opens an editor; give the message with -m")


def _one_key(parsed: Parsed) -> None:
    getting = parsed.has("--get", "--get-all")
    if len(parsed.operands) != 1 or not (getting or parsed.operands[0] in ("user.name", "user.email")):
        raise Refused("changing or listing git's configuration; only `git config --get KEY` is allowed")
    if not _KEY.fullmatch(parsed.operands[0]) or re.search("url|header|helper|token", parsed.operands[0]):
        raise Refused("a key of git's configuration that may hold credentials")


def _first_is(*allowed: str) -> Check:
    def check(parsed: Parsed) -> None:
        if (parsed.operands or [""])[0] not in allowed:
            raise Refused("only the listing form of this git command is allowed")

    return check


def _only_paths(parsed: Parsed) -> None:
    if not parsed.operands:
        raise Refused("`git restore` without a path")
    _own_paths(parsed)


def _unstage(parsed: Parsed) -> None:
    _own_paths(parsed)
    if parsed.operands and parsed.operands[0] != "HEAD":
        raise Refused("`git reset` to another commit; only unstaging is allowed")


_TABLES = [
    table("status", "-sbvz -u=? --short --branch --porcelain=? --untracked-files=? --ignored=? --long"
            " --verbose"
          " --ahead-behind --no-ahead-behind --show-stash --column=? --no-renames", "t*", check=_own_paths),
    table("diff", _DIFF, "t*", counts=True, check=_own_paths),
    table("log", _LOG, "t*", counts=True, check=_no_signature),
    table("show", _LOG, "t*", counts=True, check=_no_signature),
    table("whatchanged", _LOG, "t*", counts=True, check=_no_signature),
    table("reflog", "-n=n --oneline --date=t", "t*", counts=True, check=_first_is("", "show", "HEAD")),
    table("rev-list", _LOG + " --objects", "t*", counts=True, check=_no_signature),
    table("shortlog", "-sne --summary --numbered --email --since=t --until=t --all", "t*", check=_own_paths),
    table("blame", "-elLswMCp -L=t --date=t --line-porcelain --porcelain --show-email"
            " --reverse", "t*", check=_own_paths),
    table("grep", "-nilLcwEFPhHqavo -e=t -A=n -B=n -C=n -m=n --line-number --ignore-case --count"
            " --name-only --cached"
          " --files-with-matches --untracked --word-regexp --extended-regexp --fixed-strings"
          " --perl-regexp --and --or"
          " --not --all-match --heading --break --show-function --color=? --no-color --only-matching"
          " --max-depth=n", "t*", check=_own_paths),
    table("ls-files", "-cdmoszutvk -x=t --cached --deleted --modified --others --stage --exclude-standard"
            " --exclude=t"
          " --error-unmatch --full-name --unmerged --ignored", "t*", check=_own_paths),
    table("ls-tree", "-drtlz --name-only --name-status --full-name --full-tree --long --abbrev=?", "t*"),
    table("rev-parse", "-q --abbrev-ref=? --short=? --verify --show-toplevel --git-dir"
            " --is-inside-work-tree --show-prefix"
          " --git-common-dir --symbolic-full-name --quiet --absolute-git-dir --is-bare-repository --show-cdup"
          " --is-shallow-repository --all --branches --symbolic", "t*"),
    table("cat-file", "-pte -s", "t*"),
    table("merge-base", "-a --all --is-ancestor --fork-point --octopus", "t*"),
    table("name-rev", "--name-only --tags --all", "t*"),
    table("describe", "--tags --all --always --long --dirty=? --abbrev=? --exact-match --contains"
            " --match=t", "t*"),
    table("show-ref", "-dsq --heads --tags --head --verify --hash=? --abbrev=?", "t*"),
    table("show-branch", "--all --current", "t*"),
    table("for-each-ref", "--format=t --sort=t --count=n --merged=t --contains=t", "t*"),
    table("count-objects", "-vH"),
    table("check-ignore", "-vqn --verbose --quiet --non-matching", "t*", check=_own_paths),
    table("diff-tree", _DIFF + " -r -t --root --no-commit-id", "t*", check=_own_paths),
    table("branch", "-alrvq --all --list --remotes --verbose --show-current --contains=? --merged=?"
            " --no-merged=? --sort=t"
          " --points-at=t --color=? --no-color --format=t --column=?", "t*", check=_only_listing),
    table("tag", "-l -n=? --list --sort=t --contains=? --merged=? --points-at=t"
            " --format=t", "t*", check=_only_listing),
    table("remote", "-v --verbose", "t*", check=_first_is("")),
    table("worktree", "--porcelain", "t*", check=_first_is("list")),
    table("stash", "", "t*", check=_first_is("list")),
    table("config", "-l --get --get-all --local --global", "t*", check=_one_key),
    table("version", ""),
    table("add", "-AnNuvf --all --update --dry-run --intent-to-add --verbose --force --no-all --chmod=s"
            " --ignore-errors",
          "t*", level=_CAUTION, check=_own_paths),
    table("commit", "-aqsv -m=t -F=r --all --message=t --file=r --quiet --signoff --allow-empty --amend"
            " --no-edit --dry-run"
          " --author=t --date=t --short --no-gpg-sign --only --include --allow-empty-message"
          " --no-status", "t*",
          level=_CAUTION, check=_message),
    table("restore", "-qSW --staged --worktree"
            " --quiet", "t*", level=_CAUTION, unsettles=True, check=_only_paths),
    table("reset", "-q --quiet --mixed", "t*", level=_CAUTION, check=_unstage),
    table("rm", "-frqn --cached --quiet --force --dry-run --ignore-unmatch", "d*", level=_CAUTION),
    table("mv", "-fknv --force --verbose --dry-run", "w*", level=_CAUTION, unsettles=True),
]  # fmt: skip
_GIT: dict[str, Table] = {entry.name: entry for entry in _TABLES}


def judge_git(words: Sequence[Word]) -> Grade:
    """Judge the words after `git`. The caller sees to it that the folder is the workspace itself."""
    rest, touches = list(words), [Touch(Tool.READ, ".")]
    while rest and rest[0].text.startswith("-"):
        option = rest.pop(0).text
        if option == "--version" and not rest:
            return Grade(Level.SAFE)
        if option not in ("--no-pager", "-P", "--no-optional-locks"):
            raise Refused(f"`git {option}` can make git run other programs or leave the workspace")
    if not rest:
        raise Refused("`git` without a command")
    name, arguments = rest[0].text, rest[1:]
    if name == "checkout":
        return _checkout(arguments)
    if name == "push" and any(_FORCE.fullmatch(word.text) for word in arguments):
        raise Refused(
            "a push that overwrites or removes remote work is never allowed",
            rule="forced_push",
            level=Level.PROHIBITED,
        )
    if name not in _GIT:
        raise Refused(f"`git {name}` is not among the git commands that are allowed when nobody watches")
    grade = judge_by_table(_GIT[name], arguments)
    return grade._replace(touches=[*touches, *grade.touches])


def _checkout(arguments: Sequence[Word]) -> Grade:
    """Only `git checkout -- PATH…`, which puts files back."""
    texts = [word.text for word in arguments]
    if len(texts) < 2 or texts[0] != "--":
        raise Refused(
            "changing the branch; stay on the branch you were given (`git checkout -- FILE` is allowed)"
        )
    _own_paths(Parsed([], texts[1:], []))
    return Grade(_CAUTION, unsettles=True)
