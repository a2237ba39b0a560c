"""Building and reading XML without ever gluing strings."""

from xml.etree.ElementTree import Element, SubElement, TreeBuilder, tostring
from xml.parsers import expat


def add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """Append an element, with text and attributes, and return it."""
    element = SubElement(parent, tag, attributes)
    element.text = text or None
    return element


def text_of(root: Element) -> str:
    """Return an element as XML text."""
    return tostring(root, encoding="unicode")


def parse(text: str) -> Element:
    """Return the root element; entities and document types are refused.

    Raises:
        ValueError: the text is not XML, or declares a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = lambda name, attributes: _start(
        builder, name, attributes
    )
    parser.EndElementHandler = lambda name: _end(builder, name)
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(text, True)  # noqa: FBT003 - expat takes no keyword
    except expat.ExpatError as exc:
        raise ValueError(f"not XML: {exc}") from exc
    return builder.close()


def _refuse(*_declaration: object) -> None:
    # Entities can only be declared in a document type: without one there are none.
    raise ValueError("XML with a document type is refused")


def _start(builder: TreeBuilder, name: str, attributes: dict[str, str]) -> None:
    builder.start(_universal(name), {_universal(k): v for k, v in attributes.items()})


def _end(builder: TreeBuilder, name: str) -> None:
    builder.end(_universal(name))


def _universal(name: str) -> str:
    """Return the name as ElementTree writes it: ``{namespace}local``."""
    return "{" + name if "}" in name else name
