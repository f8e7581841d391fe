"""Scopes: the atoms that are allowed or denied (`semantics.md`, Words)."""

from enum import StrEnum
from typing import NamedTuple


class ScopeKind(StrEnum):
    """The three kinds of scope. None includes another.

    A StrEnum hashes as a str does, in C; scopes are hashed a great deal.
    """

    CONTACT = "contact"
    SHARE = "share"
    PROCESS = "process"


class Scope(NamedTuple):
    """One scope. Build it with `contact`, `share` or `process`; unused parts are empty."""

    kind: ScopeKind
    purpose: str
    channel: str = ""
    partner: str = ""
    dataset: str = ""

    def __str__(self) -> str:
        parts = (self.purpose, self.channel, self.partner, self.dataset)
        return f"{self.kind.value}({', '.join(part for part in parts if part)})"


def contact(purpose: str, channel: str) -> Scope:
    """Name the scope of contacting by one channel for one purpose."""
    return Scope(ScopeKind.CONTACT, purpose, channel=channel)


def share(purpose: str, partner: str, dataset: str) -> Scope:
    """Name the scope of sharing one data set with one partner for one purpose."""
    return Scope(ScopeKind.SHARE, purpose, partner=partner, dataset=dataset)


def process(purpose: str) -> Scope:
    """Name the scope of processing for one purpose."""
    return Scope(ScopeKind.PROCESS, purpose)
