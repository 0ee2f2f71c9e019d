"""What is allowed of programs whose arguments are small languages: find, sed, awk, test, cp, mv and so on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from orchestrator.model.request import Level, Tool
from orchestrator.policy.finding import Refused, Touch, names
from orchestrator.policy.options import Grade, judge_by_table, read_options, table
from orchestrator.policy.programs_text import TEXT_PROGRAMS
from orchestrator.policy.shell_lex import Word

_SAFE = Level.SAFE

# -- find ----------------------------------------------------------------------------------------------

_FIND_ALONE = names(
    "-print -print0 -empty -prune -true -false -not ! -o -or -a -and ( ) -readable"
    " -writable -executable -depth"
    " -daystart -xdev -mount -quit -ls -noleaf"
)
_FIND_VALUES = names(
    "-name -iname -path -ipath -wholename -regex -iregex -regextype -type -maxdepth"
    " -mindepth -size -mtime -mmin"
    " -atime -amin -ctime -cmin -perm -user -group -links -printf"
)
_FIND_INNER = frozenset(
    ("grep", "egrep", "fgrep", "wc", "head", "ls", "stat", "file", "cat", "md5sum", "sha256sum")
)
_FIND_UNSURE = frozenset(("!", "-not", "-o", "-or", "(", ")", "-prune", "-depth"))


def judge_find(words: Sequence[Word]) -> Grade:
    """Folders first, then tests; the only action that runs anything is a known one over plain files."""
    texts = [word.text for word in words]
    if any(word.glob for word in words):
        raise Refused("a pattern that the shell would replace; quote it")
    count = 0
    while count < len(texts) and not (texts[count].startswith("-") or texts[count] in ("!", "(", ")")):
        count += 1
    touches = [Touch(Tool.READ, folder) for folder in texts[:count] or ["."]]
    tests = texts[count:]
    position = 0
    while position < len(tests):
        position = _find_test(tests, position, touches)
    return Grade(_SAFE, touches)


def _find_test(tests: list[str], position: int, touches: list[Touch]) -> int:
    """Check one test and return where the next one begins."""
    test = tests[position]
    if test in _FIND_ALONE:
        return position + 1
    if test in _FIND_VALUES and position + 1 < len(tests):
        return position + 2
    if test in ("-newer", "-anewer", "-cnewer") and position + 1 < len(tests):
        touches.append(Touch(Tool.READ, tests[position + 1]))
        return position + 2
    if test == "-exec":
        return _find_exec(tests, position)
    raise Refused(f"`find {test}` is not among the tests that are known to be harmless")


def _find_exec(tests: list[str], position: int) -> int:
    before = tests[:position]
    plain_files = any(pair == ("-type", "f") for pair in pairwise(before))
    if not plain_files or not _FIND_UNSURE.isdisjoint(tests):
        raise Refused("`find -exec` is only allowed behind `-type f`, without `!`, `-o` or brackets")
    ends = [place for place in range(position + 1, len(tests)) if tests[place] in (";", "+")]
    inner = tests[position + 1 : ends[0]] if ends else []
    if not inner or inner[0] not in _FIND_INNER or inner[-1] != "{}" or "{}" in inner[:-1]:
        raise Refused(
            "`find -exec` may only run a program that looks at files, with `{}` as its last argument"
        )
    grade = judge_by_table(TEXT_PROGRAMS[inner[0]], [Word(text) for text in inner[1:]])
    if [touch.path for touch in grade.touches] != ["{}"]:
        raise Refused("`find -exec` may only look at the files it found")
    return ends[0] + 1


# -- sed and awk ---------------------------------------------------------------------------------------

_SED_TABLE = table(
    "sed", "-nErsuz -i=? -e=t --quiet --silent --regexp-extended --in-place=? --expression=t", "t*"
)
_ADDRESS = r"(?:[0-9]+|\$|/(?:[^\\/\n\[]|\\[^\n])*/I?)"
_PART = r"(?:[^\\{0}\n\[]|\\[^\n]|\[\^?[^\]\[\\{0}\n]+\])*"
_SUBSTITUTES = "|".join(
    rf"s{mark}{_PART.format(mark)}{mark}(?:[^\\{mark}\n]|\\[^\n])*{mark}[gpiI0-9]*"
    for mark in (r"/", r"\|", r"#", r",", r"@", r":", r"%")
)
_SED_COMMAND = rf"(?:{_ADDRESS}(?:,[+~]?(?:{_ADDRESS}))?[ ]*!?[ ]*)?(?:[pdDPqQ=hHgGxnN]|{_SUBSTITUTES})"
_SED = re.compile(rf"[ ]*{_SED_COMMAND}[ ]*(?:;[ ]*{_SED_COMMAND}[ ]*)*;?[ ]*")
_SUFFIX = re.compile(r"\.?[A-Za-z0-9]*")


def judge_sed(words: Sequence[Word]) -> Grade:
    """Printing, deleting and substituting lines; no script may run or write anything else."""
    parsed = read_options(_SED_TABLE, words)
    scripts = [value for name, value in parsed.options if name in ("-e", "--expression")]
    operands = list(parsed.operands)
    if not scripts and operands:
        scripts = [operands.pop(0)]
    suffixes = [value for name, value in parsed.options if name in ("-i", "--in-place")]
    if not scripts or any(not _SED.fullmatch(script) for script in scripts):
        raise Refused("a `sed` script that is not plain printing, deleting or substituting")
    if any(not _SUFFIX.fullmatch(suffix) for suffix in suffixes):
        raise Refused("`sed -i` with an unusual suffix")
    tool = Tool.WRITE if suffixes else Tool.READ
    copies = [Touch(Tool.WRITE, path + suffix) for path in operands for suffix in suffixes if suffix]
    return Grade(_SAFE, [*(Touch(tool, path) for path in operands if path != "-"), *copies])


_AWK_TABLE = table("awk", "-F=t -v=s", "t r*")
_AWK_WORDS = re.compile(
    r"system|getline|extension|load|include|close|fflush|ENVIRON|PROCINFO|[@`\\]|[^\x20-\x7e\n]"
)
_AWK_PIPE = re.compile(r"(?<!\|)\|(?!\|)|\|\|\||>>|\|&")


def judge_awk(words: Sequence[Word]) -> Grade:
    """Programs without any way to run or write something."""
    parsed = read_options(_AWK_TABLE, words)
    script = parsed.operands[0] if parsed.operands else ""
    risky = _AWK_WORDS.search(script) or _AWK_PIPE.search(script)
    writes = ">" in script and "print" in script
    if not script or risky or writes or any("=" in operand for operand in parsed.operands[1:]):
        raise Refused("an `awk` program that could run or write something")
    return Grade(_SAFE, parsed.touches)


# -- test, echo, set, copies ---------------------------------------------------------------------------

_FILE_TESTS = names("-f -d -e -s -r -w -x -h -L")
_TEXT_TESTS = frozenset(("-n", "-z"))
_COMPARES = frozenset(("=", "==", "!="))
_NUMBERS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))
_INTEGER = re.compile(r"-?[0-9]{1,9}")


def judge_test(words: Sequence[Word]) -> Grade:
    """One plain comparison or file test; bash would evaluate more than that."""
    texts = [word.text for word in words]
    texts = texts[1:] if texts[:1] == ["!"] else texts
    match texts:
        case [test, path] if test in _FILE_TESTS:
            return Grade(_SAFE, [Touch(Tool.READ, path)])
        case [test, _] if test in _TEXT_TESTS:
            return Grade(_SAFE)
        case [_, test, _] if test in _COMPARES:
            return Grade(_SAFE)
        case [left, test, right] if test in _NUMBERS:
            if _INTEGER.fullmatch(left) and _INTEGER.fullmatch(right):
                return Grade(_SAFE)
    raise Refused("a test other than one plain comparison or file test")


def judge_bracket(words: Sequence[Word]) -> Grade:
    """`[ … ]`."""
    if not words or words[-1].text != "]":
        raise Refused("`[` without its `]`")
    return judge_test(words[:-1])


def judge_echo(_words: Sequence[Word]) -> Grade:
    """Any text; `echo` knows no option that does more than print."""
    return Grade(_SAFE)


def judge_printf(words: Sequence[Word]) -> Grade:
    """A format and text, but no option: `-v` evaluates."""
    if not words or words[0].glob or words[0].text.startswith("-"):
        raise Refused("`printf` with an option")
    return Grade(_SAFE)


def judge_set(words: Sequence[Word]) -> Grade:
    """Stop at the first failure, and nothing else."""
    if [word.text for word in words] not in (
        ["-e"],
        ["-eu"],
        ["-euo", "pipefail"],
        ["-o", "pipefail"],
        ["-u"],
    ):
        raise Refused("`set` with other options than -e, -u and -o pipefail")
    return Grade(_SAFE)


_COPY = table(
    "cp", "-afipnrRuvd --archive --force --no-clobber --recursive --verbose --update --parents", "t*"
)
_MOVE = table("mv", "-finuv --force --no-clobber --verbose --update", "t*")


def judge_copy(words: Sequence[Word]) -> Grade:
    """`cp`: what lands in a folder is judged under its new name."""
    return _transfer(words, moving=False)


def judge_move(words: Sequence[Word]) -> Grade:
    """`mv`: the same, and the old place is written too."""
    return _transfer(words, moving=True)


def _transfer(words: Sequence[Word], *, moving: bool) -> Grade:
    spec = _MOVE if moving else _COPY
    parsed = read_options(spec, words)
    if len(parsed.operands) < 2 or words[-1].glob or any(word.glob for word in words):
        raise Refused(f"`{spec.name}` needs plain names, the new one last")
    *sources, target = parsed.operands
    whole = parsed.has("-r", "-R", "-a", "-d", "--recursive", "--archive")
    touches = [Touch(Tool.WRITE, target)]
    for source in sources:
        name = source.rstrip("/").rpartition("/")[2]
        if name in ("", ".", "..") or (whole and source.endswith("/")):
            raise Refused(
                f"`{spec.name}` of a folder's content; name the folder or the files", level=Level.DANGEROUS
            )
        touches += [
            Touch(Tool.DELETE if moving else Tool.READ, source),
            Touch(Tool.WRITE, f"{target}/{name}"),
        ]
        if parsed.has("--parents"):
            touches.append(Touch(Tool.WRITE, f"{target}/{source}"))
    return Grade(_SAFE, touches, unsettles=moving or whole)


SPECIAL_PROGRAMS: dict[str, Callable[[Sequence[Word]], Grade]] = {
    "find": judge_find,
    "sed": judge_sed,
    "awk": judge_awk,
    "gawk": judge_awk,
    "mawk": judge_awk,
    "test": judge_test,
    "[": judge_bracket,
    "echo": judge_echo,
    "printf": judge_printf,
    "set": judge_set,
    "cp": judge_copy,
    "mv": judge_move,
}
