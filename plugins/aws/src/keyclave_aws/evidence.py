"""What shows how well a key is kept. AWS attests nothing: all of it is what AWS says of itself."""

from __future__ import annotations

from keyclave.models import SecurityLevel
from keyclave.plugin import Record

from keyclave_aws.endpoints import is_aws
from keyclave_aws.lookup import FoundKey

__all__ = ["ServiceEvidence", "key_evidence", "service_evidence"]

_IN_HSM = frozenset({"AWS_KMS", "AWS_CLOUDHSM"})
_ORIGINS = {
    "AWS_KMS": "AWS KMS made the key in its hardware security modules (Origin AWS_KMS).",
    "AWS_CLOUDHSM": "The key was made in a CloudHSM cluster (Origin AWS_CLOUDHSM).",
    "EXTERNAL": "The key was imported (Origin EXTERNAL): a copy may exist elsewhere.",
    "EXTERNAL_KEY_STORE": "The key is outside AWS, in an external key store (Origin EXTERNAL_KEY_STORE).",
}


class ServiceEvidence(Record, frozen=True, kw_only=True):
    """What the endpoint shows.

    Attributes:
        level: HSM at an endpoint of AWS, SOFTWARE at any other.
        simulator: whether it is another one.
        sentences: what that rests on.
    """

    level: SecurityLevel
    simulator: bool
    sentences: tuple[str, ...]


def service_evidence(endpoint: str, ca_bundle: str | None = None) -> ServiceEvidence:
    """Return what an endpoint shows by its name, which TLS proves.

    Args:
        endpoint: its URL.
        ca_bundle: the file with the authorities that are believed; ``None`` for those that everybody believes.
    """
    if is_aws(endpoint):
        sentences = ["AWS KMS says that it keeps keys in hardware security modules; it gives no proof of it."]
        if ca_bundle is not None:
            sentences.append(f"That it is AWS is believed of whom {ca_bundle} trusts (AWS_CA_BUNDLE).")
        return ServiceEvidence(level=SecurityLevel.HSM, simulator=False, sentences=tuple(sentences))
    sentence = "The endpoint is not one of AWS, so nothing shows how it keeps keys."
    return ServiceEvidence(level=SecurityLevel.SOFTWARE, simulator=True, sentences=(sentence,))


def key_evidence(service: ServiceEvidence, found: FoundKey) -> tuple[bool, tuple[str, ...]]:
    """Return whether a key is kept in an HSM as far as AWS says, and what that rests on."""
    origin = _ORIGINS.get(found.origin, "AWS KMS does not say where the key came from.")
    in_hsm = service.level is SecurityLevel.HSM and found.origin in _IN_HSM
    return in_hsm, (*service.sentences, origin)
