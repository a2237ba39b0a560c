"""What is quoted as the source of a behaviour is really there."""

import ast
import gzip
import html
import json
import re
from pathlib import Path

import botocore
import pytest

SERVICES = ("autoscaling", "cloudwatch", "ec2", "elbv2", "iam")
QUOTED = re.compile(r'\*"(.*?)"\*', re.DOTALL)
DATA = Path(botocore.__file__).parent / "data"
EMULATOR = Path(__file__).parents[2] / "emulators/aws"


@pytest.fixture(scope="module")
def documented():
    """Give all that botocore's models say of the services, letters and digits only."""
    found = [
        text
        for service in SERVICES
        for path in DATA.glob(f"{service}/*/service-2.json*")
        for text in _texts(_loaded(path))
    ]
    return "|".join(_plain(text) for text in found)


def _loaded(path):
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)


def _texts(found):
    if isinstance(found, dict):
        if isinstance(found.get("documentation"), str):
            yield found["documentation"]
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            yield from _texts(each)


def _plain(text):
    bare = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return re.sub(r"[^a-z0-9]", "", bare.lower())


def _documented_places():
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
    for path in sorted(EMULATOR.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds):
                name = getattr(node, "name", "")
                yield f"{path.stem}.{name}", ast.get_docstring(node) or ""


def test_every_quotation_is_in_the_models(documented):
    """A quotation is of botocore's models: other sources are named, and told in our words."""
    places = [(p, q) for p, text in _documented_places() for q in QUOTED.findall(text)]
    wrong = [
        (place, quoted) for place, quoted in places if _plain(quoted) not in documented
    ]
    assert len(places) > 30
    assert not wrong


def test_every_behaviour_names_its_source():
    """Each handler has a source, or says which function has it."""
    silent = []
    for path in sorted(EMULATOR.glob("behaviour/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and _handles(node):
                text = ast.get_docstring(node) or ""
                if "Source: " not in text and "see ``" not in text:
                    silent.append(f"{path.stem}.{node.name}")
    assert not silent


def _handles(node):
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    return any(getattr(each.func, "id", "") == "handles" for each in calls)
