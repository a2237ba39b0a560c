"""An instance's facts as an element of its domain's metadata."""

from datetime import datetime
from ipaddress import IPv4Address
from xml.etree.ElementTree import Element, register_namespace

from immutable.model import FleetName, ImageId, InstanceId
from immutable_libvirt.facts import InstanceFacts
from immutable_libvirt.xml import add, parse

NAMESPACE = "urn:immutable:instance:1"
_INSTANCE = f"{{{NAMESPACE}}}instance"
_DOCUMENT = f"{{{NAMESPACE}}}document"
_TAG = f"{{{NAMESPACE}}}tag"

register_namespace("immutable", NAMESPACE)


def to_element(facts: InstanceFacts) -> Element:
    """Return the facts as an element."""
    attributes = {
        "name": facts.name,
        "fleet": facts.fleet,
        "image": facts.image,
        "address": str(facts.address),
        "launched-at": facts.launched_at.isoformat(),
    }
    root = Element(_INSTANCE, attributes)
    for key, value in facts.tags:
        add(root, _TAG, key=key, value=value)
    add(root, _DOCUMENT, facts.document)
    return root


def from_text(text: str) -> InstanceFacts:
    """Return the facts in a metadata element, or in the domain around one.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    root = parse(text)
    # Asked for by its namespace, libvirt gives the element out of its namespace.
    bare = root if root.tag == "instance" else None
    element = next(root.iter(_INSTANCE), bare)
    if element is None:
        raise ValueError("no element of ours")
    try:
        return _read(element)
    except KeyError as exc:
        raise ValueError(f"the element lacks {exc}") from exc


def _read(element: Element) -> InstanceFacts:
    return InstanceFacts(
        name=InstanceId(element.attrib["name"]),
        fleet=FleetName(element.attrib["fleet"]),
        image=ImageId(element.attrib["image"]),
        address=IPv4Address(element.attrib["address"]),
        launched_at=datetime.fromisoformat(element.attrib["launched-at"]),
        tags=[
            (child.attrib["key"], child.attrib["value"])
            for child in element
            if "key" in child.attrib
        ],
        document=next((c.text or "" for c in element if "key" not in c.attrib), ""),
    )
