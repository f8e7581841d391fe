"""The words in which answers are told to people.

What lives here: one phrase for each value of the contract's enums, and short texts of scopes,
products, selectors and bases. Layout is `output`'s.
"""

from typing import Final

from maywe.v1 import common_pb2
from maywe.v1.common_pb2 import (
    Acknowledgement,
    Basis,
    Product,
    Reason,
    Scope,
    Selector,
    Source,
    Verdict,
)
from rich.text import Text

from service.cli.moments import shown_end, shown_moment
from service.cli.output import BAD, GOOD, UNSURE

REASONS: Final = {
    Reason.REASON_ALLOWED: "a consent covers it and holds",
    Reason.REASON_UNKNOWN_CUSTOMER: "no event names this customer",
    Reason.REASON_RESTRICTED: "a restriction forbids it, whatever was consented to",
    Reason.REASON_PARTNER_SUSPENDED: "the catalog has suspended the partner",
    Reason.REASON_CONSENT_REVOKED: "the consent was revoked",
    Reason.REASON_CONSENT_REFUSED: "the customer refused the consent",
    Reason.REASON_PRODUCT_CLOSED: "the consent ran until its product was closed, and it is closed",
    Reason.REASON_CONSENT_SUPERSEDED: "a later consent of its type replaced it",
    Reason.REASON_CONSENT_EXPIRED: "the term of the consent is over",
    Reason.REASON_CONSENT_NOT_YET_VALID: "the consent begins later",
    Reason.REASON_NO_CONSENT: "no consent covers it",
    Reason.REASON_UNAVAILABLE: "the server could not know; ask again a little later",
}
"""A phrase for each reason."""

_VERDICTS: Final = {
    Verdict.VERDICT_ALLOW: ("ALLOW", GOOD),
    Verdict.VERDICT_DENY: ("DENY", BAD),
    Verdict.VERDICT_UNDETERMINED: ("UNDETERMINED", UNSURE),
}
_KINDS: Final = {
    common_pb2.SCOPE_KIND_CONTACT: "contact",
    common_pb2.SCOPE_KIND_SHARE: "share",
    common_pb2.SCOPE_KIND_PROCESS: "process",
}


def verdict_text(verdict: Verdict) -> Text:
    """Write a verdict in its colour."""
    word, style = _VERDICTS[verdict]
    return Text(word, style=style)


def reason_code(reason: Reason) -> str:
    """Give a reason as programs see it, without its prefix."""
    return Reason.Name(reason).removeprefix("REASON_") if reason else ""


def reason_text(reason: Reason) -> str:
    """Give a reason with its phrase."""
    return f"{reason_code(reason)}: {REASONS[reason]}" if reason in REASONS else reason_code(reason)


def scope_text(scope: Scope) -> str:
    """Give a scope in one line."""
    match scope.kind:
        case common_pb2.SCOPE_KIND_CONTACT:
            return f"contact by {scope.channel} for {scope.purpose}"
        case common_pb2.SCOPE_KIND_SHARE:
            return f"share {scope.dataset} with {scope.partner} for {scope.purpose}"
        case _:
            return f"process for {scope.purpose}"


def product_text(product: Product) -> str:
    """Give a product in one line; the empty string for none."""
    contract = " ".join(part for part in (product.series, product.number) if part)
    return " ".join(part for part in (product.system_code, product.product_type, contract) if part)


def source_text(source: Source) -> str:
    """Give in one line where an event came from."""
    parts = (source.process, source.channel, source.document, source.recorded_by)
    return ", ".join(part for part in parts if part)


def selector_text(selector: Selector) -> str:
    """Give a selector in one line."""
    if selector.all:
        return "everything"
    parts = [f"kind {_KINDS[selector.kind]}"] if selector.kind else []
    parts += [
        f"{name.replace('_', ' ')} {getattr(selector, name)}"
        for name in ("purpose", "channel", "partner", "dataset", "consent_type", "event_id")
        if selector.HasField(name)
    ]
    return ", ".join(parts)


def basis_text(basis: Basis, zone_name: str = "") -> str:
    """Give what an ALLOW rests on in one line."""
    product = product_text(basis.product)
    end = shown_end(basis.ends_at, is_given=basis.HasField("ends_at"), zone_name=zone_name)
    return (
        f"{basis.consent_type}/{basis.wording_version}"
        + (f" with {product}" if product else "")
        + f", obtained {shown_moment(basis.obtained_at, zone_name)}"
        + (f", ends {end}" if basis.HasField("ends_at") else ", without end")
        + f", event {basis.event_id}"
    )


def durability_text(acknowledgement: Acknowledgement) -> str:
    """Say how far a write has come."""
    if acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE:
        state = "effective: every check follows it"
    else:
        state = "durable: checks follow in a moment; one with the token follows now"
    return f"{state} (recorded before, nothing changed)" if acknowledgement.repeat else state
