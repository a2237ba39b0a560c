import pytest
from broken import abandon, packer_manifest

from immutable import Recipe
from immutable.testing import Script, conformance, world

VARIANTS = (
    "",
    "switch=slot&launch_binds=yes&settle=1s",
    "switch=blind&weighted=no&preview=no&keeps_logs=no&keeps_records=no&adopts_artefacts=no",
    "staleness=3s&late=20s&guards_deletion=yes&counts=yes",
    "switch=slot&staleness=2s&late=10s&preview=no",
    "switch=blind&staleness=2s&late=10s&launch_binds=yes",
    "scales_itself=yes",
    "switch=slot&staleness=2s&late=10s&scales_itself=yes",
)
OLD = "staleness=3s&seed=7"
"""Where readings may be old, and every one is, by as much as is drawn."""


@pytest.fixture(scope="module", params=(*VARIANTS, OLD), ids=lambda v: v or "plain")
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> conformance.Subject:
    """Return a world of each kind of provider."""
    number = (*VARIANTS, OLD).index(request.param)
    url = f"memory://kit{number}?{request.param}".rstrip("?")
    lab, is_old = world(url), request.param == OLD
    if is_old:
        lab.fail(Script("stale", "*", times=None))
    return conformance.Subject(
        backend=url,
        good=Recipe.base("debian:12").run("make good"),
        another=lab.image("another"),
        broken=lab.image("broken", ready=False),
        spare=Recipe.base("debian:12").run("make spare"),
        kill=lab.kill_server,
        abandon=lambda: abandon(lab),
        scale_by=lambda fleet: lab.scale_by(fleet, "by load", least=1, most=7),
        scaling=lab.scaling,
        artefact=packer_manifest(tmp_path_factory.mktemp("packed")),
        inventory=lambda service: frozenset(
            server.id for server in lab.servers() if server.id.startswith(service)
        ),
        port=8080,
        ready_timeout="20s",
        pages=120,
        # every point in the plain world, some in each of the others
        crashes=None if not request.param else 10,
    )


test_memory = conformance.backend_cases()
