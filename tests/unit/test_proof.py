"""Proofs: what checks said of an image, kept, and asked before it is deployed."""

import json
import subprocess
import sys
from datetime import UTC, timedelta

import attrs
import pytest
from images import IMAGE, make_root, put

from immutable.errors import InvalidInput, Refused
from immutable.images.proof import (
    Booted,
    Judgement,
    Place,
    Proof,
    Root,
    decode,
    digest_of_check,
    digest_of_checks,
    encode,
    failed,
    file,
    judge_proof,
    package,
    passed,
    port,
    prove,
    sealed,
    undecided,
)
from immutable.images.proof.checking import judged
from immutable.images.proof.redaction import shown
from immutable.judging import VerdictStatus
from immutable.model import Digest, digest_of

PASSED, FAILED, UNDECIDED = VerdictStatus


@attrs.frozen(kw_only=True)
class Says:
    """A check that says what it is told to, in each place."""

    name: str = "says"
    in_root: VerdictStatus = PASSED
    in_booted: VerdictStatus = PASSED
    needs: tuple[Place, ...] = (Place.ROOT,)

    @property
    def digest(self):
        return digest_of_check(self)

    def judge(self, target):
        status = self.in_root if isinstance(target, Root) else self.in_booted
        return judged(self.name, status, f"it {status}", tools=(("tool", "1"),))


@attrs.frozen(kw_only=True)
class Raises(Says):
    """A check that raises, or returns nonsense."""

    answer: object = None

    def judge(self, target):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


@pytest.fixture
def root(tmp_path):
    """Return the root of a small image."""
    return Root(path=make_root(tmp_path / "root"))


def proof_of(*statuses, image=IMAGE):
    """Return a proof whose checks said this."""
    checks = [Says(name=f"check-{n}", in_root=s) for n, s in enumerate(statuses)]
    return prove(image, checks, root=Root(path="/"))


def test_an_image_is_proven_by_all_its_checks(root):
    """Each is judged, in order, and the proof says of what and when."""
    proof = prove(IMAGE, [package("bash"), file("/etc/passwd"), sealed()], root=root)
    assert proof.is_passed
    assert [j.check for j in proof.judgements] == [
        "package(bash)",
        "file(/etc/passwd)",
        "sealed()",
    ]
    assert proof.image == IMAGE.id
    assert proof.covers(IMAGE.digest)
    assert not proof.covers(Digest("0" * 64))
    assert proof.made_at.tzinfo is UTC
    assert {"immutable-deploy", "python"} <= dict(proof.tools).keys()


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ((PASSED, PASSED), PASSED),
        ((PASSED, UNDECIDED), UNDECIDED),
        ((UNDECIDED, FAILED), FAILED),
        ((FAILED, PASSED), FAILED),
    ],
)
def test_a_proof_is_no_better_than_its_worst_check(statuses, status):
    """Only all of them passed is passed."""
    assert proof_of(*statuses).status is status
    assert attrs.evolve(proof_of(PASSED), judgements=()).status is UNDECIDED


@pytest.mark.parametrize("in_root", VerdictStatus)
@pytest.mark.parametrize("in_booted", VerdictStatus)
def test_a_check_passes_in_all_places_that_it_needs(root, in_root, in_booted):
    """Failed in one of them fails it, undecided in one undecides it."""
    both = (Place.ROOT, Place.BOOTED)
    check = Says(in_root=in_root, in_booted=in_booted, needs=both)
    up = Booted(address="127.0.0.1")
    found = prove(IMAGE, [check], root=root, booted=up).judgements[0]
    order = [PASSED, UNDECIDED, FAILED]
    assert found.status is max(in_root, in_booted, key=order.index)
    assert found.tools == (("tool", "1"), ("tool", "1"))
    alone = prove(IMAGE, [check], root=root).judgements[0]
    assert alone.status is max(in_root, UNDECIDED, key=order.index)


def test_what_was_not_given_is_undecided(root):
    """Without the place that a check needs, nothing is known."""
    proof = prove(IMAGE, [file("/etc/passwd"), port(80)])
    assert proof.status is UNDECIDED
    said = [j.verdict.evidence for j in proof.judgements]
    assert said == ["its unbooted root was not given", "no booted instance was given"]
    assert prove(IMAGE, [Says(needs=())], root=root).status is UNDECIDED


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (ValueError("bad"), FAILED),
        (SystemExit(0), FAILED),
        (True, FAILED),
        (None, FAILED),
    ],
)
def test_a_check_that_breaks_fails(root, answer, status):
    """Whatever it does, the others are judged and the proof is made."""
    proof = prove(IMAGE, [Raises(answer=answer), Says(name="b")], root=root)
    assert [j.status for j in proof.judgements] == [status, PASSED]


def test_a_check_that_hangs_is_left_behind(root):
    """It is undecided, and the others are judged."""
    import threading

    done = threading.Event()
    check = Raises(answer=done.wait)
    proof = prove(IMAGE, [check, Says(name="b")], root=root, timeout="500ms")
    done.set()
    assert [j.status for j in proof.judgements] == [UNDECIDED, PASSED]
    assert proof.judgements[0].verdict.evidence == "no answer within 500ms"


def test_a_proof_without_checks_is_refused():
    """It would say nothing."""
    with pytest.raises(InvalidInput):
        prove(IMAGE, [])


def test_what_was_asked_is_part_of_the_proof(root):
    """Other checks, or another order, are told by the digest."""
    first, second = Says(name="a"), Says(name="b")
    digests = {
        prove(IMAGE, checks, root=root).checks
        for checks in ([first], [first, second], [second, first], [first, first])
    }
    assert len(digests) == 4


def test_what_was_asked_is_what_was_there_when_it_began(root, tmp_path):
    """Tests that are written anew while they run are not what was asked for."""
    place = tmp_path / "asked"
    place.write_text("first")

    class Sly(Says):
        @property
        def digest(self):
            return digest_of(place.read_text())

        def judge(self, target):
            place.write_text("second")
            return super().judge(target)

    first = digest_of_checks([Sly()])
    assert prove(IMAGE, [Sly()], root=root).checks == first


def test_a_proof_is_kept_as_json(root):
    """What is read back is equal, findings included, and the bytes are stable."""
    put(root.path, "tmp/left")
    proof = prove(IMAGE, [sealed(), package("nginx"), port(1)], root=root)
    data = encode(proof)
    assert decode(data) == proof
    assert encode(decode(data)) == data
    assert json.loads(data)["schema"] == 1
    assert decode(data).judgements[0].findings


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d | {"schema": 2},
        lambda d: d | {"schema": "1"},
        lambda d: d | {"other": 1},
        lambda d: d | {"made_at": "2026-11-23T00:00:00"},
        lambda d: d | {"made_at": None},
        lambda d: {k: v for k, v in d.items() if k != "digest"},
        lambda d: {k: v for k, v in d.items() if k != "schema"},
        lambda d: d | {"judgements": [{"verdict": {"status": "fine"}}]},
        lambda d: [d],
    ],
)
def test_strangers_are_refused(damage):
    """Newer ones, damaged ones, and what is no proof at all."""
    document = json.loads(encode(proof_of(PASSED)))
    with pytest.raises(InvalidInput):
        decode(json.dumps(damage(document)).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(data):
    """As it is, without a trace of the parser."""
    with pytest.raises(InvalidInput):
        decode(data)


def test_what_may_be_deployed():
    """Passed always; failed never; the rest where no proof is demanded."""
    other = attrs.evolve(IMAGE, digest=Digest("cd" * 32))
    rows = [
        (proof_of(PASSED), True, True),
        (proof_of(UNDECIDED), True, False),
        (proof_of(FAILED), False, False),
        (None, True, False),
        (proof_of(PASSED, image=other), True, False),
        (proof_of(FAILED, image=other), True, False),
    ]
    for proof, freely, demanded in rows:
        assert (judge_proof(proof, IMAGE, demanded=False) is None) is freely
        assert (judge_proof(proof, IMAGE, demanded=True) is None) is demanded


def test_why_an_image_is_refused():
    """The error names the image, what it lacks, and what to do."""
    refusal = judge_proof(None, IMAGE, demanded=True)
    assert isinstance(refusal, Refused)
    assert str(refusal) == (
        "image shop-1 is not proven — the service demands a proof: prove this image,"
        " and keep it"
    )
    assert refusal.resource == IMAGE.id
    refusal = judge_proof(proof_of(*[FAILED] * 5), IMAGE, demanded=False)
    assert refusal is not None
    assert "failed its proof: check-0 it failed; check-1" in refusal.message
    assert refusal.message.endswith("; and 2 more")
    refusal = judge_proof(proof_of(PASSED, UNDECIDED), IMAGE, demanded=True)
    assert refusal is not None
    assert "is proven in part only: check-1 it undecided" in refusal.message


def test_judgements_are_safe_to_keep():
    """They are bounded, on one line, and without secrets."""
    said = "password=hunter2hunter3 postgres://shop:hunter2@db/shop"
    for judge in (passed, failed, undecided):
        found = judge("name\n" * 1000, f"\x1b[31m{said}\n" + "word " * 10_000)
        assert isinstance(found, Judgement)
        assert len(found.check) <= 120
        assert len(found.verdict.evidence) <= 500
        assert found.verdict.evidence.isprintable()
        assert "db/shop" in found.verdict.evidence
        assert "hunter2" not in found.verdict.evidence


def test_a_secret_is_not_cut_in_two():
    """What is left of it, where reading a long text ends, would not be known as one."""
    token = "ghp_" + "a1B2" * 9
    key = f"-----BEGIN PRIVATE KEY-----\n{'A' * 600}\n"
    for size in range(90, 130):
        said = shown(f"{key}{'-' * size} {token} and more {token}", limit=100)
        assert "a1B2" not in said


def test_names_load_on_first_use():
    """Asking what is there loads no check; a name that is not there is an error."""
    script = (
        "import sys; from immutable.images import proof; dir(proof);"
        "assert 'immutable.images.proof.sealing' not in sys.modules;"
        "assert 'yaml' not in sys.modules; proof.sealed; proof.goss;"
        "assert 'immutable.images.proof.sealing' in sys.modules;"
        "assert 'yaml' not in sys.modules;"
        "assert all(callable(getattr(proof, n)) or n in {'Target'} for n in dir(proof))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    from immutable.images import proof

    with pytest.raises(AttributeError):
        proof.nothing  # noqa: B018 - to see it raise


def test_a_proof_is_a_value():
    """Two of the same are equal and it cannot be changed."""
    proof = proof_of(PASSED)
    assert attrs.evolve(proof) == proof
    later = attrs.evolve(proof, made_at=proof.made_at + timedelta(seconds=1))
    assert later != proof
    assert isinstance(hash(proof), int)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        proof.image = "other"
    assert isinstance(proof, Proof)
