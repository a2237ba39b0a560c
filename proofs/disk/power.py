"""A disk that follows a history of operations, and what may be on it at a power cut."""

from collections.abc import Iterator
from pathlib import Path

from proofs.disk.faults import Kind, Operation
from proofs.disk.nodes import Change, Choose, File, Folder, Node
from proofs.disk.shim import CannotProve

Image = tuple[tuple[str, bytes | None], ...]
"""Each path, parents first, with a file's content, or None for a directory."""


class Disk:
    """Everything below one directory, which itself is surely there."""

    def __init__(self) -> None:
        self._root = Folder()
        self._opened: dict[int, Node] = {}
        self._length = 0

    def follow(self, operation: Operation) -> None:
        """Take in the next operation, also of the next process.

        Raises:
            CannotProve: the model does not know such an operation.
        """
        self._length += 1
        if operation.kind is Kind.SYNC:
            node = self._opened[operation.handle]
            node.sync() if operation.done else node.fail_sync()
        elif operation.done and operation.changes:
            self._change(operation)
        if operation.kind is Kind.OPEN and operation.handle:
            self._opened[operation.handle] = self._find(operation.name)

    def pending(self) -> tuple[Change, ...]:
        """Return what may or may not be on the disk, in the order in which it was done."""
        found = (change for node in _below(self._root) for change in node.changes)
        unsure = (change for change in found if not change.sure)
        return tuple(sorted(unsure, key=lambda change: change.number))

    def image(self, choose: Choose) -> Image:
        """Return what is found after a power cut."""
        return tuple(_listed(self._root, "", choose))

    def _change(self, operation: Operation) -> None:
        match operation.kind:
            case Kind.WRITE:
                file = self._file(operation)
                file.write(self._length, operation.offset, operation.data)
            case Kind.TRUNCATE:
                self._file(operation).truncate(self._length, operation.offset)
            case Kind.UNLINK:
                self._enter(operation.name, None)
            case Kind.MKDIR:
                self._enter(operation.name, Folder())
            case Kind.MKNOD | Kind.OPEN:
                self._enter(operation.name, File())
            case _:
                raise CannotProve(f"{operation} is not in the model")

    def _file(self, operation: Operation) -> File:
        node = self._opened[operation.handle]
        if isinstance(node, File):
            return node
        raise CannotProve(f"{operation} is not on a file")

    def _enter(self, name: str, node: Node | None) -> None:
        parent, _, last = name.rpartition("/")
        folder = self._find(parent)
        if not isinstance(folder, Folder):
            raise CannotProve(f"{name} is not in a directory")
        folder.put(self._length, {last: node})

    def _find(self, name: str) -> Node:
        node: Node = self._root
        for part in filter(None, name.split("/")):
            if not isinstance(node, Folder):
                raise CannotProve(f"{name} is not in a directory")
            node = node.now[part]
        return node


def _below(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Folder):
        for each in node.possible():
            yield from _below(each)


def _listed(
    folder: Folder, above: str, choose: Choose
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in sorted(folder.content(choose).items()):
        if isinstance(node, File):
            yield above + name, node.content(choose)
        else:
            yield above + name, None
            yield from _listed(node, f"{above}{name}/", choose)


def put_down(image: Image, directory: Path) -> None:
    """Make real files of what is found after a power cut."""
    for name, content in image:
        path = directory / name
        if content is None:
            path.mkdir(mode=0o700)
        else:
            path.write_bytes(content)
            path.chmod(0o600)


def found_in(directory: Path) -> Image:
    """Return what there is below a directory."""
    return tuple(
        (
            str(path.relative_to(directory)),
            path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(directory.rglob("*"))
    )
