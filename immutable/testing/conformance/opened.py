"""A subject that has been opened: its backend, and the images that were found or built."""

import threading
from typing import cast
from weakref import WeakKeyDictionary

from immutable import host, registry
from immutable.host import Host
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId, ServiceName
from immutable.protocols import Backend, Switch
from immutable.shapes import check_machines
from immutable.testing.conformance.case import Terms
from immutable.testing.conformance.subject import Bootable, Subject

_opened: "WeakKeyDictionary[Subject, Opened]" = WeakKeyDictionary()
_PROBE = ServiceName("kit-terms")


class Opened:
    """What all cases of one subject share."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        if subject.machines is not None:
            check_machines(subject.machines)
        self._backend = None if subject.backend is None else self.open_backend()
        self._images: dict[int, Image] = {}
        self._lock = threading.Lock()
        self.terms = Terms(
            subject=subject,
            backend=self._backend.capabilities if self._backend else None,
            switch=self.open_switch(_PROBE).capabilities,
        )

    @property
    def host(self) -> Host:
        """Return what calls on the backend run on."""
        return host.of(self._backend)

    @property
    def backend(self) -> Backend:
        """Return the backend."""
        if self._backend is None:
            raise AssertionError("this subject has no backend: use switch_cases()")
        return self._backend

    def open_backend(self) -> Backend:
        """Open the backend, anew where the subject can."""
        given = self.subject.backend
        if given is None:
            raise AssertionError("this subject has no backend: use switch_cases()")
        if not isinstance(given, str) and callable(given):
            return registry.open_backend(given())
        return registry.open_backend(given)

    def open_switch(self, service: ServiceName) -> Switch:
        """Open a service's switch, anew where the subject can."""
        return self.open_at(self.address(service), service)

    def address(self, service: ServiceName) -> str | Switch | None:
        """Return what the subject says of a service's switch."""
        asked = self.subject.switch
        return asked(service) if callable(asked) else asked

    def open_at(self, address: str | Switch | None, service: ServiceName) -> Switch:
        """Open the switch at an address."""
        # only asked for an address when the subject names none
        backend = cast("Backend", self._backend)
        return registry.open_switch(address, backend, service, port=self.subject.port)

    def image(self, which: Bootable | None) -> Image:
        """Return an image, building or finding it once."""
        with self._lock:
            if id(which) not in self._images:
                self._images[id(which)] = self.resolve(which)
            return self._images[id(which)]

    def resolve(self, which: Bootable | None) -> Image:
        """Find or build an image."""
        if which is None:
            raise AssertionError("the subject names no such image")
        if isinstance(which, Image):
            return which
        if isinstance(which, Recipe):
            return self.backend.images.build(which, on_output=lambda _line: None)
        found = self.backend.images.find(ImageId(which))
        if found is None:
            raise AssertionError(f"the backend has no image {which!r}")
        return found


def opened(subject: Subject) -> Opened:
    """Open a subject, once."""
    if subject not in _opened:
        _opened[subject] = Opened(subject)
    return _opened[subject]
