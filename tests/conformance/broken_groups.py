"""Backends whose provider heals and scales by itself, and is held back in a broken way."""

# ruff: noqa: D101, D103 - what is wrong with each is said in DEFECTS, at the end

import attrs
from broken import Defect, Over
from broken_fleets import alive, fleets

from immutable.errors import BackendError
from immutable.model import Token, digest_of

_OPTIONS = "scales_itself=yes"


def groups(name: str, kind: type[Over], *found_by: str) -> Defect:
    """Return a defect of groups."""
    return attrs.evolve(fleets(name, kind, *found_by), options=_OPTIONS)


def token_for(word: str, token: Token) -> Token:
    return Token(digest_of(word, token)[:32])


class LaunchesThawed(Over):
    def launch(self, spec, *, token):
        self.inner.launch(spec, token=token)
        self.inner.thaw(spec.name, like=None, token=token_for("thaw", token))


class FreezesOncePerToken(Over):
    def freeze(self, fleet, *, token):
        if token not in self.memory:
            self.memory[token] = fleet
            self.inner.freeze(fleet, token=token)


class RefusesWhatIsGone(Over):
    def thaw(self, fleet, *, like, token):
        if self.inner.observe(fleet) is None:
            raise BackendError(f"{fleet} does not exist")
        self.inner.thaw(fleet, like=like, token=token)


class RefusesToFollowWhatIsGone(Over):
    def thaw(self, fleet, *, like, token):
        if like is not None and self.inner.observe(like) is None:
            raise BackendError(f"{like} does not exist")
        self.inner.thaw(fleet, like=like, token=token)


class ThawsBoth(Over):
    def thaw(self, fleet, *, like, token):
        self.inner.thaw(fleet, like=like, token=token)
        if like is not None:
            self.inner.thaw(like, like=None, token=token_for("like", token))


class HealsBehindItsBack(Over):
    """Says that it is frozen, and goes on replacing what is dead."""

    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None or not view.frozen or not view.dead:
            return view
        spec = self.memory[fleet]
        token = token_for(view.dead[0].id, Token(fleet))
        self.inner.resize(spec, remove=(view.dead[0].id,), token=token)
        return self.inner.observe(fleet)

    def launch(self, spec, *, token):
        self.memory[spec.name] = spec
        self.inner.launch(spec, token=token)


class RefusesToChangeTheFrozen(Over):
    def resize(self, spec, *, remove, token):
        view = self.inner.observe(spec.name)
        if view is not None and view.frozen:
            raise BackendError(f"{spec.name} is frozen")
        self.inner.resize(spec, remove=remove, token=token)


class ThawsToChange(Over):
    def resize(self, spec, *, remove, token):
        self.inner.resize(spec, remove=remove, token=token)
        self.inner.thaw(spec.name, like=None, token=token_for("thaw", token))


class ReplacingSetsTheSize(Over):
    def replace(self, spec, *, instance, token):
        self.inner.replace(spec, instance=instance, token=token)
        self.inner.resize(spec, remove=(), token=token_for("size", token))


class KeepsTheSizeOfTheLoose(Over):
    def resize(self, spec, *, remove, token):
        view = self.inner.observe(spec.name)
        if view is not None and not view.frozen and spec.size < len(alive(view)):
            return
        self.inner.resize(spec, remove=remove, token=token)


class ForgetsTheRules(Over):
    def thaw(self, fleet, *, like, token):
        self.inner.thaw(fleet, like=None, token=token)


class TakesTheSizeToo(Over):
    def launch(self, spec, *, token):
        self.memory[spec.name] = spec
        self.inner.launch(spec, token=token)

    def thaw(self, fleet, *, like, token):
        self.inner.thaw(fleet, like=like, token=token)
        other = self.memory.get(like)
        if other is not None:
            spec = attrs.evolve(self.memory[fleet], size=other.size)
            self.inner.resize(spec, remove=(), token=token_for("size", token))


_GONE = "fleets: what is gone is neither frozen nor thawed"
_CHANGED = "fleets: a frozen fleet can be changed"
DEFECTS = (
    groups(
        "launches without freezing",
        LaunchesThawed,
        "fleets: a launched fleet is frozen",
    ),
    groups(
        "freezes once for each token",
        FreezesOncePerToken,
        "fleets: freezing and thawing are shown, and repeat safely",
    ),
    groups("thaws only what is there", RefusesWhatIsGone, _GONE),
    groups("follows only what is there", RefusesToFollowWhatIsGone, _GONE),
    groups(
        "thaws the one that is followed",
        ThawsBoth,
        "fleets: a neighbour is held as it was",
    ),
    groups(
        "heals what is frozen",
        HealsBehindItsBack,
        "fleets: a frozen fleet is left alone",
    ),
    groups("refuses to change what is frozen", RefusesToChangeTheFrozen, _CHANGED),
    groups("thaws what it changes", ThawsToChange, _CHANGED),
    groups(
        "lets the caller's size win when it replaces",
        ReplacingSetsTheSize,
        "fleets: replacing leaves the size to the provider",
    ),
    groups(
        "does not scale in what is loose",
        KeepsTheSizeOfTheLoose,
        "fleets: the provider brings a fleet to the size that is set",
    ),
    groups(
        "forgets by what a fleet is scaled",
        ForgetsTheRules,
        "fleets: the rules that scale a fleet live on",
    ),
    groups(
        "takes over the size with the rules",
        TakesTheSizeToo,
        "fleets: no bound keeps a thawed fleet from its size",
    ),
)
