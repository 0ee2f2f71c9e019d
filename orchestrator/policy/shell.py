"""Judges a shell command: every simple command, path and redirect, in every folder that it may run in."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.model.request import Level, Tool
from orchestrator.policy.finding import Finding, Place, Refused, Touch, names
from orchestrator.policy.options import Grade, judge_by_table
from orchestrator.policy.paths import Ground, judge_path
from orchestrator.policy.programs_git import judge_git
from orchestrator.policy.programs_runners import RUNNERS
from orchestrator.policy.programs_special import SPECIAL_PROGRAMS
from orchestrator.policy.programs_text import TEXT_PROGRAMS
from orchestrator.policy.shell_lex import Redirect, Word
from orchestrator.policy.shell_parse import Both, Node, Pipeline, Simple, Subshell, parse
from orchestrator.policy.shell_wrappers import unwrap

_MOST_NAMES = 2000
_DEEPEST = 3
#: Never to be run for an agent, whatever a person's rules say.
_NEVER = names(
    "sudo su doas pkexec runuser mkfs fdisk sfdisk parted wipefs mkswap swapon swapoff"
    " shutdown reboot halt poweroff"
    " init telinit mount umount insmod rmmod modprobe chroot nsenter unshare setcap visudo passwd useradd"
    " usermod"
    " userdel groupadd chpasswd crontab at batch iptables nft dmsetup losetup cryptsetup"
)
_SHELLS = names("sh bash dash zsh ksh fish")
#: Whose language is the one that is parsed here.
_LITERAL_SHELLS = names("sh bash dash zsh")
_FETCHERS = names("curl wget fetch")
_WORDS = re.compile(r"(?:^|[\s;&|(`{!=/])([a-z][a-z0-9_.-]*)(?=$|[\s;&|)`}])")
#: Devices, credentials, and the removal of everything, in whatever is refused.
_NEVER_PLACES = re.compile(
    r"/dev/(?!null\b|stdin\b|stdout\b|stderr\b|tty\b|fd/)|/etc/g?shadow\b|/etc/sudoers"
    r"|(?:~|\$HOME|\$\{HOME\}|/root|/home/[^/\s]+)/\.(?:ssh|aws|gnupg|kube|netrc|git-credentials)\b"
    r"|\brm\s+(?:-\S+\s+)*[\"']?(?:/|~|\$HOME)/?\*?[\"']?(?=[\s;&|]|$)"
)

Folders = tuple[str, ...]


def judge_shell(command: str, ground: Ground) -> list[Finding]:
    """Return one finding for each part of `command`; one refusal when it is not understood."""
    try:
        tree = parse(command)
    except Refused as refusal:
        return [_not_understood(command, refusal)]
    judge = _ShellJudge(ground)
    judge.node(tree, (ground.folder,))
    if _NEVER_PLACES.search(command):
        return [_raised(finding) for finding in judge.findings]
    return judge.findings


def _raised(finding: Finding) -> Finding:
    """What is refused beside a place that no agent needs is never to be asked about either."""
    return finding if finding.allowed else replace(finding, level=Level.PROHIBITED)


def _not_understood(command: str, refusal: Refused) -> Finding:
    """A command that cannot be read is still never asked about when a forbidden program is named in it."""
    named = set(_WORDS.findall(command))
    if _NEVER_PLACES.search(command):
        reason = f"{refusal.reason}; and it names a device, credentials, or the removal of everything"
        return _refusal(Refused(reason, rule="never", level=Level.PROHIBITED))
    if never := sorted(named & _NEVER):
        return _refusal(Refused(f"`{never[0]}` is never allowed", rule="never", level=Level.PROHIBITED))
    if named & _FETCHERS and named & _SHELLS:
        return _refusal(
            Refused("running what was just fetched is never allowed", rule="never", level=Level.PROHIBITED)
        )
    reason = f"{refusal.reason}; split it into simple commands"
    return _refusal(Refused(reason, rule=refusal.rule))


def _refusal(refusal: Refused, words: Sequence[Word] = (), peeled: Sequence[Word] = ()) -> Finding:
    return Finding(
        allowed=False,
        level=refusal.level,
        rule=refusal.rule,
        reason=refusal.reason,
        tool=Tool.SHELL,
        argv=tuple(word.text for word in peeled or words),
        whole_argv=tuple(word.text for word in words),
        understood=refusal.rule not in ("not_understood", "order"),
    )


def _order(reason: str) -> Refused:
    return Refused(f"{reason}; run it as a command of its own", rule="order")


class _ShellJudge:
    """Walks the tree with all folders that the shell could be in; remembers what earlier parts changed."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._wrote = False  # a file has new content, which a later runner would execute
        self._changed = False  # there may be names that were not there, so that patterns mean something else
        self._unsettled = False  # links may be elsewhere
        self._depth = 0  # of shells inside shells
        self.findings: list[Finding] = []

    def node(self, tree: Node, folders: Folders) -> tuple[Folders, Folders]:
        """Judge a tree; return the folders after success, and after whatever happened."""
        match tree:
            case Simple():
                return self._simple(tree, folders)
            case Pipeline(commands):
                after = self._pipeline(commands, folders)
                return after, after
            case Subshell(body, redirects):
                self.node(body, folders)
                self._redirects(redirects, folders)
            case Both(left, operator, right):
                return self._both(left, operator, right, folders)
        return folders, folders

    def _both(self, left: Node, operator: str, right: Node, folders: Folders) -> tuple[Folders, Folders]:
        success, whatever = self.node(left, folders)
        right_success, right_whatever = self.node(right, success if operator == "&&" else whatever)
        if operator == "||":
            right_success = _union(success, right_success)
        return right_success, _union(whatever, right_whatever)

    def _pipeline(self, commands: Sequence[Node], folders: Folders) -> Folders:
        """Return where the shell may be after it: zsh runs the last command in the shell itself."""
        programs = [command.words[0].text for command in commands if isinstance(command, Simple)]
        if programs[:1] and programs[0] in _FETCHERS and not _SHELLS.isdisjoint(programs):
            refusal = Refused(
                "running what was just fetched is never allowed", rule="never", level=Level.PROHIBITED
            )
            self.findings.append(_refusal(refusal))
        before, globs = self._changed, any(_has_glob(command) for command in commands)
        after = folders
        for command in commands:
            _, after = self.node(command, folders)
        if globs and self._changed and not before:
            refusal = Refused("a pattern beside a command that makes files", rule="not_understood")
            self.findings.append(_refusal(refusal))
        return after

    def _simple(self, command: Simple, folders: Folders) -> tuple[Folders, Folders]:
        peeled: Sequence[Word] = ()
        after = folders
        try:
            words = self._spread(command.words, folders)
            peeled = unwrap(words)
            if (inner := _inner_command(peeled)) is not None:
                return self._shell(inner, command.redirects, folders)
            if peeled[0].text == "cd":
                grade, after = Grade(Level.SAFE), self._cd(command.words[1:], folders)
            else:
                grade = self._grade(peeled, folders)
            self._accept(command.words, peeled, grade, folders)
        except Refused as refusal:
            self.findings.append(_refusal(refusal, command.words, peeled))
            self._wrote = self._changed = self._unsettled = True
        self._redirects(command.redirects, folders)
        return after, _union(folders, after)

    def _shell(self, inner: str, redirects: Sequence[Redirect], folders: Folders) -> tuple[Folders, Folders]:
        """Judge `bash -lc 'literal text'`, which is how some agents put every command, by that text."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Refused("too many shells inside each other", rule="not_understood")
        try:
            tree = parse(inner)
        except Refused as refusal:
            self.findings.append(_not_understood(inner, refusal))
        else:
            self.node(Subshell(tree, tuple(redirects)), folders)
        self._depth -= 1
        return folders, folders

    def _accept(self, words: Sequence[Word], peeled: Sequence[Word], grade: Grade, folders: Folders) -> None:
        if grade.runs and self._wrote:
            raise _order("this would run what the same line has written")
        if grade.touches and self._unsettled and peeled[0].text != "git":
            raise _order("an earlier part of the line moves files about")
        places = self._touches(grade.touches, folders)
        self.findings.append(
            Finding(
                allowed=True,
                level=grade.level,
                rule="known_command",
                reason="the project's own tools, as configured"
                if grade.runs
                else "a command known to be harmless",
                tool=Tool.SHELL,
                argv=tuple(word.text for word in peeled),
                whole_argv=tuple(word.text for word in words),
                places=places,
            )
        )
        wrote = any(touch.tool is Tool.WRITE for touch in grade.touches)
        self._wrote = self._wrote or (wrote and peeled[0].text not in ("mkdir", "touch"))
        self._changed = self._changed or wrote or grade.unsettles or grade.runs
        self._unsettled = self._unsettled or grade.unsettles

    def _grade(self, words: Sequence[Word], folders: Folders) -> Grade:
        name, arguments = words[0].text, words[1:]
        if words[0].glob or name in _NEVER or name.startswith("mkfs"):
            raise Refused(f"`{name}` is never allowed", rule="never", level=Level.PROHIBITED)
        if name == "git":
            return self._git(arguments, folders)
        if entry := TEXT_PROGRAMS.get(name):
            return judge_by_table(entry, arguments)
        judge = SPECIAL_PROGRAMS.get(name) or RUNNERS.get(name)
        if judge is None:
            raise Refused(f"`{name}` is not among the programs that are known", rule="unknown_program")
        return judge(arguments)

    def _git(self, arguments: Sequence[Word], folders: Folders) -> Grade:
        """Git obeys the configuration of whatever repository it finds, so it must be the workspace's own."""
        root = self._ground.root
        if len(arguments) > 1 and arguments[0].text == "-C":
            folders = tuple(os.path.realpath(os.path.join(folder, arguments[1].text)) for folder in folders)  # noqa: PTH118
            arguments = arguments[2:]
        grade = judge_git(arguments)
        if any(folder != root for folder in folders):
            raise Refused(
                "git is only allowed in the workspace's root: a folder below could be another repository"
            )
        if not os.path.lexists(f"{root}/.git"):
            raise Refused("the workspace is no git repository")
        return grade

    def _cd(self, arguments: Sequence[Word], folders: Folders) -> Folders:
        if len(arguments) != 1 or arguments[0].glob or arguments[0].text.startswith("-"):
            raise Refused("`cd` needs one plain folder", rule="not_understood")
        target = arguments[0].text
        if self._unsettled:
            raise _order("an earlier part of the line moves files about")
        self.findings += [
            place for place in self._judged([Touch(Tool.READ, target)], folders) if not place.allowed
        ]
        after = tuple(os.path.normpath(os.path.join(folder, target)) for folder in folders)  # noqa: PTH118
        if any(os.path.realpath(folder) != folder for folder in after):
            raise Refused("`cd` through a link: `..` would mean two things", rule="not_understood")
        return after

    # -- paths -----------------------------------------------------------------------------------------

    def _redirects(self, redirects: Sequence[Redirect], folders: Folders) -> None:
        for redirect in redirects:
            if redirect.path is None:
                continue
            tool = Tool.READ if redirect.operator == "<" else Tool.WRITE
            for finding in self._judged([Touch(tool, redirect.path.text)], folders):
                self.findings.append(finding)
                if finding.rule != "null" and tool is Tool.WRITE:
                    self._wrote = self._changed = True
            if self._unsettled and redirect.path.text != os.devnull:
                self.findings.append(_refusal(_order("an earlier part of the line moves files about")))

    def _judged(self, touches: Sequence[Touch], folders: Folders) -> list[Finding]:
        return [
            judge_path(touch.tool, touch.path, Ground(self._ground.root, folder))
            for touch in touches
            for folder in folders
        ]

    def _touches(self, touches: Sequence[Touch], folders: Folders) -> tuple[Place, ...]:
        """Judge the paths of an accepted command; those that are not allowed become findings of their own."""
        judged = self._judged(touches, folders)
        self.findings += [finding for finding in judged if not finding.allowed]
        return tuple(place for finding in judged for place in finding.places)

    def _spread(self, words: Sequence[Word], folders: Folders) -> Sequence[Word]:
        """Put the names that a pattern stands for beside it, at least all that the shell would find."""
        if not any(word.glob for word in words):
            return words
        if self._changed or len(folders) > 1:
            raise Refused("a pattern after files were made in the same line", rule="not_understood")
        spread: list[Word] = []
        for word in words:
            spread.append(word)
            if word.glob:
                spread += [Word(name, glob=True) for name in _names(word.text, folders[0])]
        return spread


def _inner_command(words: Sequence[Word]) -> str | None:
    """Return what a shell is given to run as one literal argument."""
    if (
        len(words) == 3
        and words[0].text in _LITERAL_SHELLS
        and words[1].text in ("-c", "-lc")
        and not words[2].glob
    ):
        return words[2].text
    return None


def _union(left: Folders, right: Folders) -> Folders:
    return tuple(dict.fromkeys((*left, *right)))


def _has_glob(command: Node) -> bool:
    return not isinstance(command, Simple) or any(word.glob for word in command.words)


def _names(pattern: str, folder: str) -> list[str]:
    """Find what `*` and `?` can stand for; a few too many do no harm."""
    if pattern.startswith("/") or "**" in pattern:
        raise Refused("an absolute or a recursive pattern; use find or `grep -r`", rule="not_understood")
    found = [""]
    for part in pattern.split("/"):
        if "*" not in part and "?" not in part:
            found = [f"{before}{part}/" for before in found]
            continue
        rule = re.compile(fnmatch.translate(part.replace("[", "[[]")))
        found = [
            f"{before}{name}/"
            for before in found
            for name in _entries(folder, before)
            if _fits(rule, part, name)
        ]
        if len(found) > _MOST_NAMES:
            raise Refused(f"the pattern `{pattern}` stands for more than {_MOST_NAMES} names")
    return [name.removesuffix("/") for name in found]


def _entries(folder: str, before: str) -> list[str]:
    try:
        return os.listdir(os.path.join(folder, before))  # noqa: PTH118, PTH208 (names are what is needed)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _fits(rule: re.Pattern[str], part: str, name: str) -> bool:
    return (part.startswith(".") or not name.startswith(".")) and bool(rule.match(name))
