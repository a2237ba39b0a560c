"""What secrets look like that have a form of their own, and where they are in some bytes."""

import re
from collections.abc import Iterator

import attrs

LONGEST_BYTES = 16 << 10
"""Of a longer secret this much has to lie within what is looked at in one piece."""


@attrs.frozen
class Form:
    """One kind of secret: the words that it can begin with, and the pattern it has."""

    name: str
    beginnings: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


@attrs.frozen
class Match:
    """Where a secret is, and of what kind; not what it is."""

    kind: str
    start: int
    end: int


def _form(name: str, pattern: bytes, *beginnings: bytes) -> Form:
    return Form(name, beginnings, re.compile(pattern))


# A header alone is in every program that reads keys: the key's first line must follow.
# In JSON its line breaks are written as \n.
_BREAK = rb"(?:\r?\n|\\r\\n|\\n)"
_PEM = (
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[ \t]*"
    + _BREAK
    + rb"(?:[A-Za-z-]{3,40}: [^\r\n\\]{1,200}"
    + _BREAK
    + rb"){0,8}(?:[ \t]*"
    + _BREAK
    + rb")?[ \t]*[A-Za-z0-9+/]{24,}={0,2}"
)
_ALONE, _ENDS = rb"(?<![A-Za-z0-9_])", rb"(?![A-Za-z0-9_])"
_PEOPLES_EXAMPLE = rb"(?![A-Z0-9]{9,13}EXAMPLE)"

FORMS = (
    _form("private key", _PEM, b"-----BEGIN "),
    _form("PuTTY key", rb"PuTTY-User-Key-File-[23]: [a-z]", b"PuTTY-User-Key-File-"),
    _form(
        "AWS key id",
        _ALONE + rb"(?:AKIA|ASIA)" + _PEOPLES_EXAMPLE + rb"[A-Z2-7]{16}" + _ENDS,
        b"AKIA",
        b"ASIA",
    ),
    _form(
        "AWS secret key",
        rb"(?i:aws_?secret_?access_?key|secretaccesskey)[\"']?[ \t]{0,8}[=:][ \t]{0,8}"
        rb"[\"']?(?![A-Za-z0-9/+]{30,33}EXAMPLE)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
        *(
            b"aws_secret",
            b"AWS_SECRET",
            b"awsSecret",
            b"SecretAccessKey",
            b"secretAccessKey",
        ),
    ),
    _form(
        "GitHub token",
        _ALONE + rb"(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
        *(b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    ),
    _form("GitLab token", _ALONE + rb"glpat-[A-Za-z0-9_-]{20}", b"glpat-"),
    _form(
        "Slack token",
        _ALONE + rb"xox[abeoprs]-(?:[A-Za-z0-9]{1,60}-){1,6}[A-Za-z0-9]{12}",
        *(b"xoxa-", b"xoxb-", b"xoxe-", b"xoxo-", b"xoxp-", b"xoxr-", b"xoxs-"),
    ),
    _form(
        "Stripe key",
        _ALONE + rb"[rs]k_(?:live|test)_[A-Za-z0-9]{24}",
        *(b"sk_live_", b"rk_live_", b"sk_test_", b"rk_test_"),
    ),
    _form("Google API key", _ALONE + rb"AIza[A-Za-z0-9_-]{35}" + _ENDS, b"AIza"),
    _form("npm token", _ALONE + rb"npm_[A-Za-z0-9]{36}" + _ENDS, b"npm_"),
    _form("PyPI token", rb"pypi-AgE[A-Za-z0-9_-]{50}", b"pypi-AgE"),
    _form("Vault token", _ALONE + rb"hv[bs]\.[A-Za-z0-9_-]{24}", b"hvs.", b"hvb."),
    _form(
        "SendGrid key",
        _ALONE + rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        b"SG.",
    ),
    _form(
        "DigitalOcean token",
        rb"do[opr]_v1_[a-f0-9]{64}",
        b"dop_v1_",
        b"doo_v1_",
        b"dor_v1_",
    ),
    _form("model API key", _ALONE + rb"sk-(?:ant|proj)-[A-Za-z0-9_-]{40}", b"sk-"),
    _form("Azure account key", rb"AccountKey=[A-Za-z0-9+/]{86}==", b"AccountKey="),
    _form(
        "JWT",
        _ALONE
        + rb"eyJ[A-Za-z0-9_-]{10,4000}+\.eyJ[A-Za-z0-9_-]{10,8000}+\.[A-Za-z0-9_-]{16}",
        b"eyJ",
    ),
)


def tokens_in(data: bytes) -> Iterator[Match]:
    """Yield where secrets of a known form are, form by form."""
    for form in FORMS:
        for beginning in form.beginnings:
            yield from _matches(form, beginning, data)


def _matches(form: Form, beginning: bytes, data: bytes) -> Iterator[Match]:
    # Looking for a word is many times as fast as trying a pattern at every byte.
    start = data.find(beginning)
    while start >= 0:
        if found := form.pattern.match(data, start):
            yield Match(form.name, found.start(), found.end())
        start = data.find(beginning, start + 1)
