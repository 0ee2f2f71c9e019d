"""What the mask takes out, what it leaves, and what it costs."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.secrets import MASKED, Mask, StreamMask, looks_secret, secret_values, unfinished_key

# Put together here so that no tool takes this file for a leak.
_BODY = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6hIj9k"
TOKENS = [
    "ghp_" + _BODY[:36],
    "github_pat_" + _BODY,
    "sk-" + _BODY,
    "sk-ant-api03-" + _BODY + "-" + _BODY,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "xoxb-" + "1234567890-" + _BODY[:24],
    "glpat-" + _BODY[:20],
    "npm_" + _BODY[:36],
    "pypi-" + "AgEIcHlwaS5vcmc" + _BODY,
    "AIza" + _BODY[:35],
    "hf_" + _BODY[:34],
    "sk_" + "live_" + _BODY[:24],
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".SflKxwRJSMeKKF2QT4",
    f"-----BEGIN RSA PRIVATE {'KEY'}-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE {'KEY'}-----",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "around", ["{}", "token={}\n", '{{"a": "{}"}}', "say {}, then go", "https://h/?k={}&b"]
)
def test_common_tokens_are_masked_wherever_they_stand(token: str, around: str) -> None:
    assert Mask().text(around.format(token)) == around.format(MASKED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ('"authorization": "Basic dXNlcjpwYXNz"', '"authorization": "Basic ***"'),
        ("curl -H 'AUTHORIZATION: token deadbeef'", "curl -H 'AUTHORIZATION: token ***'"),
        ("git clone https://me:hunter22@example.org/x.git", "git clone https://me:***@example.org/x.git"),
        ("postgres://app:s3cret@db:5432/app", "postgres://app:***@db:5432/app"),
    ],
)
def test_credentials_in_headers_and_urls(text: str, expected: str) -> None:
    assert Mask().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The task-list-of-things-to-do is done; sk-fading-circle-of-css stays.",
        "https://example.org:8080/path?user=a@b.c",
        "commit 4f0d9be1c6c8a4bdb4cbe5f0c1f3a9d8e7b6a5c4",
        "npm_config_cache is /home/me/.npm; pypi-publish runs; a bearer of news",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFoo me@host",
        "-----BEGIN PUBLIC KEY-----\nMFww\n-----END PUBLIC KEY-----",
        "eyJhbGciOiJIUzI1NiJ9 alone is not a token",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Mask(["only-this-value"]).text(text) == text


def test_known_values_go_also_in_json_in_urls_and_line_by_line() -> None:
    value = 'pa"ss wörd/1'
    mask = Mask([value, "first line of a key\nsecond line of a key", "short"])
    for form in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        assert mask.text(f"<{form}>") == f"<{MASKED}>"
    assert mask.text("pa%22ss%20w%C3%B6rd%2F1") == MASKED
    assert mask.text("a\r\nsecond line of a key\r\n") == f"a\r\n{MASKED}\r\n"
    assert mask.text("a short word") == "a short word"


def test_a_value_goes_whole_when_another_is_its_beginning() -> None:
    assert Mask(["abcdefgh", "abcdefgh-and-more"]).text("abcdefgh-and-more") == MASKED


def test_data_keeps_its_form() -> None:
    mask = Mask(["top-secret-value"])
    data = {"a": ["x top-secret-value", 3, None, True], "top-secret-value": {"b": ("y",)}}
    assert mask.data(data) == {"a": [f"x {MASKED}", 3, None, True], MASKED: {"b": ["y"]}}


@pytest.mark.parametrize(
    "name",
    [
        *("GITHUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "MYSQL_PWD"),
        *("accessToken", "DB_PASSWD", "SSH_KEY", "NPM_AUTH", "SENTRY_DSN", "api-key", "Authorization"),
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["PATH", "AUTHOR", "KEYBOARD", "MONKEY", "input_tokens", "PWDX", "PWD", "OLDPWD", "HOME"]
)
def test_names_that_do_not(name: str) -> None:
    assert not looks_secret(name)


def test_what_was_passed_on_purpose_counts_unless_it_is_a_path() -> None:
    environment = {"WEBHOOK": "https://hook/abc", "SDK": "/usr:/", "LANG": "en_US.UTF-8", "X_TOKEN": "/usr"}
    assert secret_values(environment, {"WEBHOOK", "SDK"}) == ["https://hook/abc", "/usr"]


def test_a_key_that_goes_on_in_the_next_piece_is_noticed() -> None:
    begin, end = f"-----BEGIN PRIVATE {'KEY'}-----", f"-----END PRIVATE {'KEY'}-----"
    assert unfinished_key(f"a\n{begin}\nMII") == 2
    assert unfinished_key(f"{begin}\nMII\n{end}") is None
    assert unfinished_key("-----BEGIN CERTIFICATE-----\n") is None


_PARTS = st.sampled_from(
    [*TOKENS, *(token[:9] for token in TOKENS), "sk-", "-", "_", "://a:", "@", "Bearer ", "eyJ", ".", " "]
)


@given(
    st.lists(_PARTS | st.text(max_size=6), max_size=8).map("".join),
    st.lists(st.text(st.characters(exclude_characters="*"), min_size=8, max_size=12), max_size=3),
)
def test_masking_again_changes_nothing(text: str, values: list[str]) -> None:
    mask = Mask(values)
    once = mask.text(text)
    assert mask.text(once) == once
    assert not any(value in once for value in values if len(value.strip()) >= 8)


@pytest.mark.parametrize(
    "unit",
    [
        "sk-",
        "eyJ",
        "eyJaaaaaaaa.",
        "://a:",
        "Bearer ",
        "ghp_",
        "xoxb-",
        "authorization: ",
        "x",
        "-----BEGIN ",
    ],
)
def test_the_time_is_linear_in_the_length(unit: str) -> None:
    """A hundred times the text takes far less than ten thousand times the time."""

    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        mask = Mask(["some-known-value", "another-known-value"])
        began = time.perf_counter()
        mask.text(text)
        return time.perf_counter() - began

    assert seconds(400_000) < 400 * max(seconds(4_000), 0.0005)


def in_pieces(data: bytes, cuts: list[int], mask: Mask) -> bytes:
    stream = StreamMask(mask)
    ends = sorted(cut % (len(data) + 1) for cut in cuts)
    pieces = [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    return b"".join(map(stream.feed, pieces)) + stream.rest()


@pytest.mark.parametrize(
    "token", [*TOKENS, "Authorization: Basic dXNlcjpwYXNz", "two words\nand a line of them"]
)
def test_no_cut_between_two_pieces_saves_a_secret(token: str) -> None:
    mask = Mask(["two words\nand a line of them", "wörd-known-value"])
    text = f"before {token} after, wörd-known-value\n"
    for at in range(len(text.encode()) + 1):
        shown = in_pieces(text.encode(), [at], mask)
        assert shown.decode() == mask.text(text)


@given(
    st.lists(
        st.binary(max_size=6) | st.sampled_from([b"top-secret-value", b"a secret of words", b" ", b"\n"])
    ),
    st.lists(st.integers(min_value=0), max_size=8),
)
def test_what_is_no_secret_comes_through_byte_for_byte(parts: list[bytes], cuts: list[int]) -> None:
    mask = Mask(["top-secret-value", "a secret of words"])
    shown = in_pieces(b"".join(parts), cuts, mask)
    expected = b"".join(parts).replace(b"top-secret-value", b"***").replace(b"a secret of words", b"***")
    assert shown == expected


def test_a_stream_holds_back_little_and_not_for_long() -> None:
    stream = StreamMask(Mask(["top-secret-value"]))
    assert stream.feed(b"Continue? ") == b"Continue? "
    assert stream.feed(b"line\nnext") == b"line\n"
    assert len(stream.feed(b"x" * 200_000)) > 100_000
    assert stream.feed(b"-----BEGIN PRIVATE " + b"KEY-----\n" + b"x\n" * 100_000) != b""


@pytest.mark.parametrize("value", ["known-value-of-some-length", "ghp_" + _BODY[:36]])
def test_a_part_that_an_ellipsis_leaves_is_masked_too(value: str) -> None:
    mask = Mask([value])
    assert mask.text(f"said: {value[:12]}…") == f"said: {MASKED}…"
    assert mask.text(f"…{value[-12:]} it said") == f"…{MASKED} it said"
    assert mask.text("kno… is what it said …") == "kno… is what it said …"
