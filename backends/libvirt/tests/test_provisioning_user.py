"""Users of an image: written into its databases, and what belongs to them."""

import os
import stat
from pathlib import Path, PurePosixPath

import attrs
import pytest

from immutable.errors import BuildFailed, InvalidInput
from immutable.images.layers import Daemon, Files, User
from immutable.images.recipe import Recipe
from immutable_libvirt.building import accounts
from immutable_libvirt.building.staging import Staging
from immutable_libvirt.images import boot_files

TEXTS = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33:www:/var/www:/bin/sh\n",
    "group": "root:x:0:\nadm:x:4:\nwww:x:33:\naudio:x:29:www\nlone:x:1000:\n",
    "shadow": "root:*:19000:0:99999:7:::\nwww:*:19000:0:99999:7:::\n",
    "gshadow": "root:*::\nadm:*::\nwww:!::\naudio:*::www\nlone:!::\n",
}
APP = User(name="app", home=PurePosixPath("/srv/app"), groups=("adm", "audio"))


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """Return an empty layer upon one that has users, as a Debian has them."""
    for place in ("below/etc", "below/usr/bin", "below/srv", "new"):
        (tmp_path / place).mkdir(parents=True)
    for name, text in TEXTS.items():
        (tmp_path / "below/etc" / name).write_text(text)
        (tmp_path / "below/etc" / name).chmod(0o640 if "shadow" in name else 0o644)
    (tmp_path / "below/usr/bin/setpriv").touch()
    return Staging(tmp_path / "new", (tmp_path / "below",))


def test_a_user_is_a_line_in_each_database() -> None:
    """It has a group of its name, no password, a fixed date, and its further groups."""
    after = accounts.add(TEXTS, APP)
    new = "/srv/app:/usr/sbin/nologin"
    # 1000 is a group's already, so neither gets it: both have the same number.
    assert after["passwd"] == TEXTS["passwd"] + f"app:x:1001:1001::{new}\n"
    assert after["shadow"] == TEXTS["shadow"] + "app:!:3652:0:99999:7:::\n"
    assert after["group"].splitlines()[1:] == [
        "adm:x:4:app",
        "www:x:33:",
        "audio:x:29:www,app",
        "lone:x:1000:",
        "app:x:1001:",
    ]
    assert "audio:*::www,app\n" in after["gshadow"]
    assert after["gshadow"].endswith("\napp:!::\n")


def test_a_last_line_may_have_no_end() -> None:
    """What comes after it is a line of its own, not part of it."""
    cut = {name: text.rstrip("\n") for name, text in TEXTS.items()}
    assert accounts.add(cut, APP) == accounts.add(TEXTS, APP)


def test_an_equal_user_is_no_change() -> None:
    """Adding a user again, with its number or without, leaves every byte as it is."""
    after = accounts.add(TEXTS, APP)
    assert accounts.add(after, APP) == after
    assert accounts.add(after, attrs.evolve(APP, uid=1001)) == after


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"uid": 1005}, "its uid is 1001"),
        ({"home": PurePosixPath("/home/app")}, "its home is /srv/app"),
        ({"shell": PurePosixPath("/bin/sh")}, "its shell is /usr/sbin/nologin"),
        ({"groups": ("adm",)}, "its groups are adm, audio"),
    ],
)
def test_another_user_of_the_name_is_refused(
    change: dict[str, object], said: str
) -> None:
    """What differs is said, and nothing is changed."""
    after = accounts.add(TEXTS, APP)
    with pytest.raises(BuildFailed, match=said):
        accounts.add(after, attrs.evolve(APP, **change))


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (User(name="app", uid=33), "another user with uid 33"),
        (User(name="app", groups=("docker", "adm")), "no group docker"),
        (User(name="lone"), "a group 'lone'"),
    ],
)
def test_what_is_taken_or_missing_is_refused(user: User, said: str) -> None:
    """Numbers and names that others have, and groups that are not there."""
    with pytest.raises(BuildFailed, match=said):
        accounts.add(TEXTS, user)


def test_a_number_that_is_wanted_is_given() -> None:
    """The group has the same number, unless another group has it."""
    assert "\napp:x:77:77:" in accounts.add(TEXTS, User(name="app", uid=77))["passwd"]
    taken = accounts.add(TEXTS, User(name="app", uid=1000))["passwd"]
    assert "\napp:x:1000:1001:" in taken


@pytest.mark.parametrize("home", ["/srv/a:b", "/srv/a\nroot::0:0::/:/bin/sh"])
def test_places_cannot_add_fields_or_lines(home: str) -> None:
    """A home that would be read as something else is refused."""
    with pytest.raises(InvalidInput, match="/etc/passwd"):
        accounts.add(TEXTS, User(name="app", home=PurePosixPath(home)))


def test_the_home_and_the_files_are_the_users(staging: Staging, tmp_path: Path) -> None:
    """A user, its home and its files are one layer; nobody else's modes change."""
    (tmp_path / "app" / "data").mkdir(parents=True)
    (tmp_path / "app" / "data" / "set").write_text("x")
    (tmp_path / "app" / "data" / "set").chmod(0o2750)
    staging.place(APP)
    target = PurePosixPath("/srv/app/code")
    staging.place(Files(source=tmp_path / "app", target=target, owner="app"))
    made = staging.root / "srv/app"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE((made / "code/data/set").stat().st_mode) == 0o2750
    assert stat.S_IMODE((staging.root / "etc/shadow").stat().st_mode) == 0o640
    assert "app:x:1001:1001::" in (staging.root / "etc/passwd").read_text()
    if os.geteuid() == 0:
        for path in (made, made / "code", made / "code/data/set"):
            assert (path.stat().st_uid, path.stat().st_gid) == (1001, 1001)
        assert (staging.root / "srv").stat().st_uid == 0


def test_a_service_runs_as_its_user(staging: Staging) -> None:
    """Its program gives up root, knows who it is, and keeps its own variables."""
    staging.place(APP)
    command = ("/srv/app/run", "a b")
    staging.place(Daemon(name="web", command=command, user="app"))
    script = (staging.root / "usr/lib/immutable/services/web").read_text()
    assert "export HOME=/srv/app\n" in script
    assert "--reuid=app --regid=1001 --init-groups --inh-caps=-all --" in script
    assert script.endswith("-- /srv/app/run 'a b'\n")


def test_unknown_owners_and_runners_are_refused(
    staging: Staging, tmp_path: Path
) -> None:
    """Files and services of a user that the image does not have; says how to add it."""
    target = PurePosixPath("/srv/x")
    for layer in (
        Files(source=tmp_path, target=target, owner="app"),
        Daemon(name="web", command=("/bin/true",), user="app"),
    ):
        with pytest.raises(BuildFailed, match="no user 'app'") as caught:
            staging.place(layer)
        assert '.user("app")' in caught.value.hint


def test_what_is_excluded_is_not_placed(staging: Staging, tmp_path: Path) -> None:
    """The layer holds what its digest was made of, and nothing else."""
    for name in ("keep", "drop.pyc", "cache/x"):
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_text(name)
    source, target = tmp_path / "app", PurePosixPath("/opt/app")
    staging.place(Files(source=source, target=target, exclude=("*.pyc", "cache")))
    placed = sorted(path.name for path in (staging.root / "opt/app").iterdir())
    assert placed == ["keep"]


@pytest.mark.vm
def test_in_an_image_a_user_owns_its_files_and_runs_its_service(
    workshop, tmp_path: Path
) -> None:
    """One disk, the same bytes twice, and Debian's own programs agree on who it is."""
    recipes = []
    for name in ("one", "two"):
        source = tmp_path / name
        source.mkdir()
        (source / "page").write_text("a page")
        (source / "page").chmod(0o600)
        recipes.append(
            Recipe.base("debian:12")
            .user("app", home="/srv/app", groups=["audio"])
            .files(source, "/srv/app/pages", owner="app")
            .service("web", "/bin/sh", "-c", "id -nG; cat $HOME/pages/page", user="app")
        )
    one, two = recipes
    with workshop.built(one) as (first, made):
        assert (made / "srv/app/pages/page").stat().st_uid == 1000
        assert len(boot_files(workshop.images.pool, first.id).layers) == 2
        said = one.run("/usr/lib/immutable/services/web >/etc/said")
        with workshop.built(said) as (_, above):
            assert (above / "etc/said").read_text() == "app audio\na page"
    with workshop.built(two) as (second, _):
        assert second.digest == first.digest
