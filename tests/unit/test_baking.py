"""Baking, with builders that follow a script: what is believed, when it is given up."""

import io
import json
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.baking import (
    BOOT,
    CAPTURE,
    Bake,
    Report,
    Said,
    Work,
    expiry_of,
    report_of,
    tags_of,
)
from immutable.errors import BuildFailed, InvalidInput
from immutable.images.baked import bake
from immutable.images.bundling import work_of, write_bundle
from immutable.images.layers import Files, Packages, Run
from immutable.images.recipe import Recipe
from immutable.model import Token

TOKEN = Token("0" * 32)
MINUTE = timedelta(minutes=1)
FIRST = Work(what="the first", argv=("/bin/first",), deadline=MINUTE)
SECOND = Work(what="the second", argv=("/bin/second",), deadline=MINUTE)
BEGUN, ENDED = Report(event="begun"), Report(event="ended")
CAPTURED = Report(event="captured")
ALL = (
    Said(lines=("one",), reports=(BEGUN, ENDED)),
    Said(reports=(Report(event="begun", work=1), Report(event="ended", work=1))),
    Said(lines=("last",), reports=(CAPTURED,), is_on=False),
)


@attrs.define(kw_only=True)
class Scripted:
    """Builders that say what they are told to, each reading a second later."""

    script: list[Said]
    now_s: float = 0.0
    left: list[str] = attrs.field(factory=list)

    def start(
        self, bake: Bake, *, token: Token, expires_at: datetime
    ) -> "ScriptedBuilder":
        """Start one."""
        assert expires_at > datetime.now(UTC) + bake.longest - MINUTE
        self.left.append(token)
        return ScriptedBuilder(baking=self, token=token)

    def sweep(self, *, now: datetime) -> tuple[str, ...]:
        """Sweep nothing."""
        return ()


@attrs.frozen(kw_only=True)
class ScriptedBuilder:
    """One of them."""

    baking: Scripted
    token: Token

    def read(self, *, wait: timedelta) -> Said:
        """Say the next thing; when there is no more, be silent as long as one waits."""
        if self.baking.script:
            self.baking.now_s += 1
            return self.baking.script.pop(0)
        self.baking.now_s += wait.total_seconds()
        return Said()

    def capture(self) -> str:
        """Return what was made."""
        return "made"

    def destroy(self) -> None:
        """Be gone."""
        self.baking.left.remove(self.token)


def baked(
    *script: Said, works: Sequence[Work] = (FIRST, SECOND)
) -> tuple[str, list[str]]:
    """Return what was made, and the lines that were passed on; nothing is left."""
    baking, lines = Scripted(script=list(script)), list[str]()
    order = Bake(parent="base", works=tuple(works))
    try:
        made = bake(
            baking,
            order,
            token=TOKEN,
            on_output=lines.append,
            monotonic=lambda: baking.now_s,
        )
    finally:
        assert baking.left == []
    return made, lines


def test_work_is_done_in_order_and_captured() -> None:
    """What it prints is passed on, and what was made is returned."""
    assert baked(*ALL) == ("made", ["one", "last"])


@pytest.mark.parametrize(
    "reports",
    [
        (),
        (CAPTURED,),
        (BEGUN, ENDED, CAPTURED),
        (ENDED, Report(event="ended", work=1), CAPTURED),
        (Report(event="begun", work=1), Report(event="ended", work=1), CAPTURED),
        (BEGUN, ENDED, BEGUN, ENDED, CAPTURED),
    ],
)
def test_a_builder_that_left_work_out_is_not_believed(
    reports: tuple[Report, ...],
) -> None:
    """Reports out of order count for nothing: all work must have begun and ended."""
    with pytest.raises(BuildFailed, match="the builder ended while"):
        baked(Said(reports=reports), Said(is_on=False))


def test_a_failure_shows_the_last_lines() -> None:
    """The status and the end of the output, what came after the report included."""
    failed = Report(event="ended", status=4)
    lines = tuple(str(number) for number in range(40))
    with pytest.raises(BuildFailed, match="the first failed with status 4") as caught:
        baked(
            Said(lines=lines, reports=(BEGUN, failed)),
            Said(lines=("the reason",)),
            Said(reports=(ENDED,), is_on=False),
        )
    assert "the reason" in str(caught.value)
    assert " 39\n" in str(caught.value)
    assert " 20\n" not in str(caught.value)


def test_a_builder_that_cannot_work_says_why() -> None:
    """Its own reason is in the error."""
    failed = Report(event="failed", reason="there is no disk")
    with pytest.raises(BuildFailed, match="there is no disk"):
        baked(Said(reports=(failed,), is_on=False))


@pytest.mark.parametrize(
    ("script", "what", "limit"),
    [
        ((), "booting the builder", BOOT),
        ((Said(reports=(BEGUN,)),), "the first", MINUTE),
        ((ALL[0], ALL[1]), "capturing what has changed", CAPTURE),
    ],
)
def test_each_stage_has_its_deadline(
    script: tuple[Said, ...], what: str, limit: timedelta
) -> None:
    """A silent builder is given up by the caller's clock, and named by what it did."""
    with pytest.raises(BuildFailed, match=f"{what} did not end within"):
        baked(*script)
    baking = Scripted(script=list(script))
    with pytest.raises(BuildFailed):
        bake(
            baking,
            Bake(parent="base", works=(FIRST, SECOND)),
            token=TOKEN,
            on_output=lambda _line: None,
            monotonic=lambda: baking.now_s,
        )
    assert baking.now_s == len(script) + limit.total_seconds()


def test_output_does_not_put_off_a_deadline() -> None:
    """Work that prints for ever has no more time than any other."""
    chatter = [Said(lines=("more",))] * 100
    with pytest.raises(BuildFailed, match="the first did not end within 1m"):
        baked(Said(reports=(BEGUN,)), *chatter)


def test_a_failing_listener_leaves_nothing() -> None:
    """The builder is gone when whoever gets the output raises."""
    baking = Scripted(script=list(ALL))

    def listener(_line: str) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        bake(
            baking,
            Bake(parent="base", works=(FIRST,)),
            token=TOKEN,
            on_output=listener,
        )
    assert baking.left == []


@given(
    st.text(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.dictionaries(
            st.sampled_from(["schema", "event", "work", "status", "reason"]), x
        ),
    ).map(json.dumps)
)
def test_any_line_is_a_report_or_none(line: str) -> None:
    """A stranger's line raises nothing."""
    assert report_of(line) is None or json.loads(line)["schema"] == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"schema":2,"event":"begun"}',
        '{"schema":1,"event":"begun","work":-1}',
        '{"schema":1,"event":"begun","work":true}',
        '{"schema":1,"event":"begun","more":1}',
        '{"schema":1,"event":"rebooted"}',
        '{"schema":1,"event":"failed","reason":7}',
        "[" * 2000,
        '{"schema":1,"event":"begun"}' + " " * 5000,
    ],
)
def test_what_is_no_report_is_none(line: str) -> None:
    """Unknown fields, kinds and numbers, and lines that are too long."""
    assert report_of(line) is None


def test_reports_are_read() -> None:
    """All fields, and their defaults."""
    line = '{"schema":1,"event":"ended","work":2,"status":3}'
    assert report_of(line) == Report(event="ended", work=2, status=3)
    assert report_of('{"schema":1,"event":"captured"}') == CAPTURED


def test_tags_say_when_a_builder_expires() -> None:
    """The expiry is read back; other things have none."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert expiry_of(tags_of(TOKEN, moment)) == moment
    assert expiry_of((("immutable-expires-at", "soon"),)) is None
    assert expiry_of(()) is None


def test_a_bake_is_of_no_use_after_all_its_deadlines() -> None:
    """Booting, all work and capturing; any work's network is the machine's."""
    order = Bake(parent="base", works=(FIRST, attrs.evolve(SECOND, network=True)))
    assert order.longest == BOOT + 2 * MINUTE + CAPTURE
    assert order.network
    assert not Bake(parent="base", works=(FIRST,)).network


def bundle(*works: Work) -> bytes:
    """Return the archive that hands work over."""
    stream = io.BytesIO()
    write_bundle(Bake(parent="base", works=works), stream)
    return stream.getvalue()


def test_a_bundle_is_equal_for_equal_work(tmp_path: Path) -> None:
    """Contents and modes count; times, owners and places do not."""
    bundles = []
    for number in range(2):
        tree = tmp_path / str(number) / "tree"
        (tree / "below").mkdir(parents=True)
        for name in ("a", "b") if number else ("b", "a"):
            (tree / "below" / name).write_text(name)
        (tree / "link").symlink_to("below/a")
        work = attrs.evolve(FIRST, handed=(("site", tree), ("own:rw", tree)))
        bundles.append(bundle(work, SECOND))
    assert bundles[0] == bundles[1]
    with tarfile.open(fileobj=io.BytesIO(bundles[0])) as archive:
        names = archive.getnames()
    assert {"0000/run", "0001/run"} <= set(names)
    assert {"0000/handed/site/link", "0000/writable/own/below/a"} <= set(names)


def test_a_file_of_two_names_is_handed_over_twice(tmp_path: Path) -> None:
    """Else what may be written in one place would be written in the other."""
    bundles = []
    for is_one in (True, False):
        tree = tmp_path / str(is_one)
        tree.mkdir()
        (tree / "a").write_text("same")
        if is_one:
            (tree / "b").hardlink_to(tree / "a")
        else:
            (tree / "b").write_text("same")
        work = attrs.evolve(FIRST, handed=(("site", tree), ("own:rw", tree)))
        bundles.append(bundle(work))
    assert bundles[0] == bundles[1]
    with tarfile.open(fileobj=io.BytesIO(bundles[0])) as archive:
        for name in ("handed/site/a", "handed/site/b", "writable/own/b"):
            found = archive.extractfile(f"0000/{name}")
            assert found is not None
            assert archive.getmember(f"0000/{name}").isreg()
            assert found.read() == b"same"


def test_devices_are_not_handed_over() -> None:
    """Only files, directories and links."""
    with pytest.raises(InvalidInput, match="/dev/null"):
        bundle(attrs.evolve(FIRST, handed=(("null", Path("/dev/null")),)))


def test_layers_that_need_no_backend_are_work(tmp_path: Path) -> None:
    """Commands and whole trees; of packages the backend has to know more."""
    recipe = Recipe.base("debian:12").run("echo $HOME", network=True, deadline="1m")
    recipe = recipe.files(tmp_path, "/srv").packages("hello")
    (run, files, packages) = recipe.layers
    assert isinstance(run, Run)
    assert isinstance(files, Files)
    assert isinstance(packages, Packages)
    work = work_of(run)
    assert work == Work(
        what="'echo $HOME'",
        argv=("/bin/sh", "-ec", "echo $HOME"),
        network=True,
        deadline=MINUTE,
    )
    placed = work_of(files)
    assert placed is not None
    assert placed.handed == (("files", tmp_path),)
    assert placed.argv[-1] == "/srv"
    assert work_of(packages) is None
