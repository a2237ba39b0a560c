"""The agent in an image: its configuration, and the script that starts it at boot."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from immutable.errors import InvalidInput
from immutable.images.layers import Files, Run, Unit
from immutable.images.recipe import Recipe
from immutable_aws.agent import NAMESPACE, configuration, with_agent

_TAGS = {
    "Name": "shop-v3-3f9a1c",
    "immutable-service": "shop",
    "immutable-release": "3",
}
# A metadata service that insists on a token, in the words of curl's command line.
_CURL = """#!/bin/sh
case "$*" in
*"-X PUT"*/latest/api/token) echo TOKEN ;;
*"X-aws-ec2-metadata-token: TOKEN"*/tags/instance/*) cat "$TAGS/${*##*/}" ;;
*) exit 22 ;;
esac
"""
_CTL = """#!/bin/sh
echo "$*" > "$STARTED"
"""


@pytest.fixture
def recipe():
    """Return a recipe that has what the agent needs."""
    return Recipe.base("debian:13").packages("curl")


@pytest.fixture
def instance(tmp_path):
    """Return what boots the agent on an instance with tags, and says how it was started."""
    return _Instance(tmp_path)


class _Instance:
    """The agent's script, with programs of a test's own around it."""

    def __init__(self, root):
        self._root = root
        self.tags = root / "tags"
        self.tags.mkdir()
        self.started = root / "started"
        for path, text in (("bin/curl", _CURL), ("agent/ctl", _CTL)):
            program = root / path
            program.parent.mkdir()
            program.write_text(text)
            program.chmod(0o755)

    def boot(self, tags, text):
        """Run the script of a recipe, and return what the agent was configured with."""
        for name, value in tags.items():
            (self.tags / name).write_text(value)
        (self._root / "cloudwatch.json").write_text(text)
        return subprocess.run(
            ["/bin/sh", "-e", "-c", self._script()],
            env={
                "PATH": f"{self._root}/bin:{os.environ['PATH']}",
                "TAGS": str(self.tags),
                "STARTED": str(self.started),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def _script(self):
        source = _script_of(with_agent(Recipe.base("debian:13")))
        places = {
            "/usr/lib/immutable/cloudwatch.json": f"{self._root}/cloudwatch.json",
            "/run/immutable": f"{self._root}/run",
            "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl": (
                f"{self._root}/agent/ctl"
            ),
        }
        for place, own in places.items():
            assert place in source
            source = source.replace(place, own)
        return source

    def configured(self):
        """Return the configuration that the agent was started with."""
        return json.loads((self._root / "run/cloudwatch.json").read_text())


def _script_of(recipe):
    (layer,) = [i for i in recipe.layers if isinstance(i, Files)]
    return Path(layer.source).read_text()


def test_the_journal_goes_where_it_is_read(recipe):
    """Group and stream are those that `immutable.logs` looks for."""
    (place,) = configuration()["logs"]["logs_collected"]["journald"]["collect_list"]
    assert place == {
        "log_group_name": "/immutable/@SERVICE@",
        "log_stream_name": "@FLEET@/{instance_id}/journal",
    }


def test_files_can_be_sent_instead(recipe):
    """Older agents know no journal."""
    collected = configuration(files=["/var/log/syslog"])["logs"]["logs_collected"]
    (place,) = collected["files"]["collect_list"]
    assert place["file_path"] == "/var/log/syslog"
    assert place["log_stream_name"] == "@FLEET@/{instance_id}/journal"
    assert "journald" not in collected


@pytest.mark.parametrize("path", ["", "syslog", "/var/log/a\nb"])
def test_a_path_that_is_none_is_refused(path):
    """Before anything is built."""
    with pytest.raises(InvalidInput):
        configuration(files=[path])


def test_metrics_say_whose_they_are():
    """CPU, memory and disk, each with service, release and fleet."""
    found = configuration()["metrics"]
    assert found["namespace"] == NAMESPACE
    assert set(found["metrics_collected"]) == {"cpu", "mem", "disk"}
    for one in found["metrics_collected"].values():
        assert set(one["append_dimensions"]) == {"Service", "Release", "Fleet"}
    assert "metrics" not in configuration(metrics=False)


def test_a_recipe_gets_configuration_script_and_unit(recipe):
    """Three layers on top, and the same recipe again is the same image."""
    built = with_agent(recipe)
    kinds = [type(layer) for layer in built.layers]
    assert kinds[-3:] == [Run, Files, Unit]
    assert built.layers[: len(recipe.layers)] == recipe.layers
    assert with_agent(recipe).digest == built.digest
    assert with_agent(recipe, metrics=False).digest != built.digest


def test_the_configuration_is_written_as_it_is(recipe, tmp_path):
    """The layer's command writes the very JSON, whatever the shell would make of it."""
    command = with_agent(recipe).layers[-3].command
    moved = command.replace("/usr/lib/immutable", str(tmp_path / "lib"))
    subprocess.run(["/bin/sh", "-e", "-c", moved], check=True)
    assert json.loads((tmp_path / "lib/cloudwatch.json").read_text()) == configuration()


def test_the_unit_starts_the_script_that_was_copied(recipe):
    """They name the same file."""
    built = with_agent(recipe)
    unit = Path(built.layers[-1].source).read_text()
    assert f"ExecStart=/bin/sh -e {built.layers[-2].target}\n" in unit


@pytest.mark.parametrize(
    ("name", "command"),
    [("agent.deb", "dpkg -i"), ("agent.rpm", "rpm -U")],
)
def test_a_package_is_part_of_the_recipe(recipe, tmp_path, name, command):
    """Its bytes count for the digest: another version makes another image."""
    package = tmp_path / name
    package.write_bytes(b"one")
    built = with_agent(recipe, package=package)
    assert built.layers[2].command.startswith(f"{command} /var/tmp/")
    before = built.digest
    package.write_bytes(b"another")
    assert with_agent(recipe, package=package).digest != before


def test_a_package_of_another_kind_is_refused(recipe):
    """What no program here can install is no package."""
    with pytest.raises(InvalidInput, match="no package"):
        with_agent(recipe, package="agent.msi")


def test_the_instance_says_whose_it_is(instance):
    """At boot the tags are asked for, and the agent starts with them."""
    done = instance.boot(_TAGS, json.dumps(configuration()))
    assert done.returncode == 0, done.stderr
    assert "fetch-config -m ec2 -s -c file:" in instance.started.read_text()
    found = instance.configured()
    (place,) = found["logs"]["logs_collected"]["journald"]["collect_list"]
    assert place["log_group_name"] == "/immutable/shop"
    assert place["log_stream_name"] == "shop-v3-3f9a1c/{instance_id}/journal"
    whose = {"Service": "shop", "Release": "3", "Fleet": "shop-v3-3f9a1c"}
    assert found["metrics"]["metrics_collected"]["cpu"]["append_dimensions"] == whose
    assert "@" not in json.dumps(found)


@pytest.mark.parametrize("value", ["", 'x"}', "a b", "a/b", "$(reboot)"])
def test_a_tag_that_is_none_of_ours_starts_nothing(instance, value):
    """What stands in a tag does not become configuration, and the unit says why."""
    done = instance.boot({**_TAGS, "immutable-service": value}, "{}")
    assert done.returncode != 0
    assert "immutable-service" in done.stderr
    assert not instance.started.exists()


def test_without_tags_in_the_metadata_nothing_starts(instance):
    """The unit fails, and systemd tries it again."""
    done = instance.boot({}, "{}")
    assert done.returncode != 0
    assert not instance.started.exists()
