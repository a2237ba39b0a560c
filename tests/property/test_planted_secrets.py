"""A secret planted anywhere in an image is found, and nothing that is said shows it."""

import base64
import json
import re
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import make_root, put

from immutable.images.proof import Root, sealed
from immutable.images.proof.redaction import shown
from immutable.images.proof.sealing import reading
from immutable.judging import VerdictStatus

BLOCK = reading.BLOCK_BYTES
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def token(prefix: str, size: int, alphabet: str = LETTERS) -> st.SearchStrategy[str]:
    """Return tokens of one form."""
    return st.text(alphabet, min_size=size, max_size=size).map(lambda t: prefix + t)


@st.composite
def private_keys(draw: st.DrawFn) -> str:
    """Return keys as programs write them, or as they are written into JSON."""
    kind = draw(st.sampled_from(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]))
    body = base64.encodebytes(draw(st.binary(min_size=60, max_size=2000))).decode()
    key = f"-----BEGIN {kind}PRIVATE KEY-----\n{body}-----END {kind}PRIVATE KEY-----\n"
    return json.dumps(key) if draw(st.booleans()) else key


@st.composite
def jwts(draw: st.DrawFn) -> str:
    """Return signed tokens with claims of any length."""
    claims = draw(st.dictionaries(st.text(LETTERS), st.text(LETTERS), max_size=20))
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()) for p in parts]
    signature = draw(st.binary(min_size=32, max_size=32))
    words = [*encoded, base64.urlsafe_b64encode(signature)]
    return ".".join(word.decode().rstrip("=") for word in words)


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
SECRETS = st.one_of(
    token("ghp_", 36),
    token("glpat-", 20),
    token("AKIA", 16, UPPER).filter(lambda t: not t.endswith("EXAMPLE")),
    token("npm_", 36),
    token("AIza", 35),
    token("sk_live_", 24),
    token("hvs.", 24),
    private_keys(),
    jwts(),
)
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC._- é", min_size=1, max_size=20).filter(
    lambda name: name.strip(".") != ""
)
PLACES = st.lists(NAMES, min_size=1, max_size=4).map(
    lambda parts: "/".join(["srv/here", *parts])
)
# nothing that could be a piece of a secret by chance
NOISE = st.text(" \n\t.,;:!?()[]{}<>|\\\"'äß→\x1b\x00\u202e")
AROUND = st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return the root of an image that is sealed."""
    return make_root(tmp_path_factory.mktemp("image") / "root")


def judge(root, place, content):
    """Return what is said of the image with this in it."""
    put(root, place, content)
    try:
        return sealed().judge(Root(path=root))
    finally:
        shutil.rmtree(root / "srv/here")


def assert_hidden(secret: str, said: str) -> None:
    """Fail if any longer piece of the secret can be read; what a key begins with is none."""
    for part in re.split(r"-----[A-Z ]+-----", secret):
        for start in range(4, len(part) - 12):
            assert part[start : start + 12] not in said


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRETS, PLACES, AROUND, AROUND)
def test_secrets_of_a_known_form_are_found(root, secret, place, before, after):
    """In any file, with anything around them, and told without themselves."""
    judgement = judge(root, place, before + b"\n" + secret.encode() + b"\n" + after)
    assert judgement.status is VerdictStatus.FAILED
    assert {"secret", "private-key"} & {f.rule for f in judgement.findings}
    assert_hidden(secret, repr(judgement))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRETS, st.integers(1, 2), st.integers(-9000, 10))
def test_secrets_between_two_blocks_are_found(root, secret, block, offset):
    """Files are read in blocks; none is lost where one ends."""
    content = b" " * (block * BLOCK + offset) + secret.encode() + b" " * 100
    judgement = judge(root, "srv/here/large", content)
    assert judgement.status is VerdictStatus.FAILED
    assert_hidden(secret, repr(judgement))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["DB_PASSWORD", "apiKey", "client-secret", "auth.token"]),
    st.text(LETTERS, min_size=20, max_size=60).filter(lambda t: len(set(t)) > 9),
    st.sampled_from(["{}={}", "{} = {}", "{}: {}", '"{}": "{}"', "export {}='{}'"]),
    st.sampled_from([".env", "app.conf", "app.yaml", "app.json", "settings.ini"]),
)
def test_random_values_of_telling_names_are_found(root, name, value, form, file):
    """However configuration writes them."""
    line = form.format(name, value)
    judgement = judge(root, f"srv/here/{file}", f"# first\n{line}\nlast = 1\n")
    assert judgement.status is VerdictStatus.FAILED
    assert [f.rule for f in judgement.findings] == ["entropy"]
    assert "line 2" in judgement.findings[0].detail
    assert_hidden(f"1234{value}", repr(judgement))


@settings(max_examples=500)
@given(NOISE, SECRETS, NOISE, st.integers(20, 500), st.integers(0, 5000))
def test_what_is_shown_of_a_text_hides_its_secrets(before, secret, after, limit, pad):
    """Wherever they are, and wherever the text is cut."""
    text = f"{before} {'word ' * (pad // 5)}{secret}\n{after}"
    said = shown(text, limit=limit)
    assert len(said) <= limit
    assert_hidden(secret, said.replace("word ", ""))
