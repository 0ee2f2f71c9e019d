"""What is allowed of programs that look at files and text, and of those that edit the workspace's files."""

from __future__ import annotations

import re

from orchestrator.model.request import Level
from orchestrator.policy.finding import Refused
from orchestrator.policy.options import Parsed, Table, table

_CAUTION = Level.CAUTION
_MODE = re.compile(r"[ugoa]*[-+=][rwxX]+|0?[0-7]{3}")
_JQ_REACHES_OUT = re.compile(
    r"\benv\b|ENV|\bimport\b|\binclude\b|\$__|get_search_list|input_filename|\binputs?\b"
)


def _plain_folder(parsed: Parsed) -> None:
    if any(name.rstrip("/").rpartition("/")[2] in (".", "..", "*", "**", "") for name in parsed.operands):
        raise Refused("removing a whole folder by `.` or `*`; name what is to go")


def _mode(parsed: Parsed) -> None:
    if not parsed.operands or not _MODE.fullmatch(parsed.operands[0]):
        raise Refused("`chmod` with a mode other than read, write and execute")


def _jq(parsed: Parsed) -> None:
    if not parsed.operands or _JQ_REACHES_OUT.search(parsed.operands[0]):
        raise Refused("a `jq` filter that reads the environment or other files")


def _short_sleep(parsed: Parsed) -> None:
    if any(int(value.rstrip("kKmMgGbB") or 0) > 600 for value in parsed.operands):
        raise Refused("a sleep of more than ten minutes")


def _format(parsed: Parsed) -> None:
    if any(not operand.startswith("+") for operand in parsed.operands):
        raise Refused("setting the clock", level=Level.PROHIBITED)


_GREP = (
    "-EFGPabchHiIlLnNoqrsvwxyzZT -A=n -B=n -C=n -m=n -e=t -d=s -D=s --extended-regexp --fixed-strings"
    " --perl-regexp --basic-regexp --ignore-case --no-ignore-case --invert-match --word-regexp --line-regexp"
    " --count --color=? --colour=? --files-with-matches --files-without-match --max-count=n --only-matching"
    " --quiet --silent --no-messages --byte-offset --with-filename --no-filename --line-number --null"
    " --after-context=n --before-context=n --context=n --text --include=t --exclude=t --exclude-dir=t"
    " --recursive --regexp=t --binary-files=s --null-data --line-buffered"
)
_RG = (
    "-FPSUHIcilnNopqsuvwx0a -A=n -B=n -C=n -M=n -e=t -g=t -j=n -m=n -t=s -T=s -d=n -r=t --glob=t --iglob=t"
    " --type=s --type-not=s --files --hidden --no-ignore --no-ignore-vcs --ignore-case --smart-case --count"
    " --case-sensitive --files-with-matches --files-without-match --fixed-strings --heading --no-heading"
    " --line-number --no-line-number --multiline --multiline-dotall --only-matching --pcre2 --quiet"
    " --regexp=t"
    " --replace=t --sort=s --sortr=s --stats --text --trim --type-list --unrestricted --vimgrep"
    " --word-regexp --json --color=s --column --count-matches --with-filename --no-filename --max-count=n"
    " --max-depth=n --max-columns=n --after-context=n --before-context=n --context=n --no-config --null"
    " --no-messages --invert-match --line-regexp"
)
_LS = (
    "-aAbBcCdfFgGhHiklmnNopqQrRsStuUvxXZ1 --all --almost-all --color=? --directory --classify --file-type"
    " --human-readable --inode --no-group --recursive --reverse --size --sort=s --time=s --time-style=t"
    " --group-directories-first -I=t --ignore=t --full-time"
)


def _without_pattern(parsed: Parsed) -> None:
    """`grep -e x file` and `rg --files folder` have no pattern, so their first operand is a file."""
    if parsed.has("-e", "--regexp", "--files", "--type-list") and parsed.operands:
        raise Refused("a search without its pattern in front; write `grep PATTERN FILE`")


_TABLES = [
    table("ls", _LS, "r*"),
    table(
        "cat",
        "-AbeEnstTuv --number --show-all --number-nonblank --squeeze-blank --show-ends --show-tabs",
        "r*",
    ),
    table("head", "-qvz -n=t -c=t --lines=t --bytes=t --quiet --silent --verbose", "r*", counts=True),
    table("tail", "-qvz -n=t -c=t --lines=t --bytes=t --quiet --silent --verbose", "r*", counts=True),
    table("wc", "-clLmw --lines --words --bytes --chars --max-line-length", "r*"),
    table("nl", "-b=s -n=s -w=n -v=n -s=t", "r*"),
    table("tac", "", "r*"),
    table("rev", "", "r*"),
    table(
        "cut",
        "-sz -b=t -c=t -d=t -f=t --bytes=t --characters=t --delimiter=t --fields=t --complement"
        " --only-delimited --output-delimiter=t",
        "r*",
    ),
    table("tr", "-cCdst --complement --delete --squeeze-repeats --truncate-set1", "t t"),
    table(
        "sort",
        "-bdfgiMhnRrVcCmsuz -k=s -t=t -o=w --key=s --field-separator=t --output=w --unique --reverse"
        " --numeric-sort --human-numeric-sort --version-sort --ignore-case --stable --check --random-sort"
        " --general-numeric-sort --zero-terminated",
        "r*",
    ),
    table("uniq", "-cdDiuz -f=n -s=n -w=n --count --repeated --unique --ignore-case", "r w"),
    table(
        "diff",
        "-abBcdeEinNpqstTuwyZ -U=n -C=n -W=n --unified=? --brief --context=? --side-by-side --width=n"
        " --ignore-all-space --ignore-space-change --ignore-blank-lines --ignore-case --color=?"
        " --report-identical-files"
        " --suppress-common-lines --strip-trailing-cr --label=t --minimal --new-file --text",
        "r r",
    ),
    table("cmp", "-bls -n=n -i=s --silent --quiet --verbose --print-bytes", "r r"),
    table("comm", "-123 --check-order --nocheck-order", "r r"),
    table("paste", "-sz -d=t", "r*"),
    table("fold", "-bs -w=n", "r*"),
    table("expand", "-i -t=s", "r*"),
    table("column", "-tx -s=t -o=t -c=n", "r*"),
    table("stat", "-Lt -c=t -f --format=t --printf=t --terse", "r*"),
    table("file", "-biLNh --brief --mime --mime-type --mime-encoding", "r*"),
    table(
        "du",
        "-abchkmsxS0 -d=n --max-depth=n --all --bytes --human-readable --summarize --total --apparent-size"
        " --exclude=t",
        "r*",
    ),
    table("df", "-ahHiklPT --human-readable --inodes", "r*"),
    table(
        "tree",
        "-aACdDfFghinNpqrsStuUvxX -I=t -P=t -L=n --dirsfirst --noreport --gitignore --prune --filelimit=n"
        " --charset=s --du",
        "r*",
    ),
    table("realpath", "-ems -q --relative-to=r --relative-base=r", "r*"),
    table("readlink", "-efmnq", "r*"),
    table("basename", "-az -s=t --suffix=t", "t*"),
    table("dirname", "-z", "t*"),
    table("pwd", "-LP"),
    table("true", "", "t*"),
    table("false", "", "t*"),
    table(":", "", "t*"),
    table("date", "-uR -d=t -I=? --date=t --iso-8601=? --rfc-3339=s --utc", "s", check=_format),
    table("whoami"),
    table("id", "-ugGnr", "s"),
    table("uname", "-amnrspvio"),
    table("nproc", "--all"),
    table("arch"),
    table("hostname"),
    table("which", "-a", "s*"),
    table("type", "-tpaP", "s*"),
    table("seq", "-w -s=t", "n*"),
    table("sleep", "", "n", check=_short_sleep),
    table("exit", "", "n"),
    table("md5sum", "-btz", "r*"),
    table("sha1sum", "-btz", "r*"),
    table("sha256sum", "-btz", "r*"),
    table("sha512sum", "-btz", "r*"),
    table("cksum", "", "r*"),
    table("base64", "-di -w=n --decode --wrap=n", "r"),
    table("od", "-bcdosvx -A=s -t=s -N=n -j=n", "r*"),
    table("hexdump", "-bcCdovx -n=n -s=n", "r*"),
    table("xxd", "-abeipu -c=n -g=n -l=s -s=s", "r"),
    table("strings", "-a -n=n -t=s", "r*"),
    table(
        "jq",
        "-rcesSMnCaj --raw-output --compact-output --exit-status --slurp --sort-keys --null-input"
        " --monochrome-output --color-output --raw-input --tab --indent=n -R",
        "t r*",
        check=_jq,
    ),
    table("grep", _GREP, "t r*", counts=True, check=_without_pattern),
    table("egrep", _GREP, "t r*", counts=True, check=_without_pattern),
    table("fgrep", _GREP, "t r*", counts=True, check=_without_pattern),
    table("rg", _RG, "t r*", check=_without_pattern),
    table(
        "fd",
        "-HIaiglspu0 -e=s -t=s -d=n -E=t --hidden --no-ignore --type=s --extension=s --max-depth=n"
        " --exclude=t --glob --absolute-path --full-path",
        "t r*",
    ),
    table("mkdir", "-pv --parents --verbose", "w*"),
    table("rmdir", "-pv", "d*", level=_CAUTION),
    table("touch", "-acm -d=t -r=r", "w*"),
    table("tee", "-ai --append", "w*"),
    table("truncate", "-c -s=n --size=n", "w*"),
    table("rm", "-fidrRv --force --recursive --verbose --dir", "d*", level=_CAUTION, check=_plain_folder),
    table("chmod", "-Rv --recursive --verbose", "t w*", level=_CAUTION, check=_mode),
]


TEXT_PROGRAMS: dict[str, Table] = {entry.name: entry for entry in _TABLES}
