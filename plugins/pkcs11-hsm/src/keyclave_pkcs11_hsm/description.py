"""What an opened token can do, read from it once, and how well it keeps keys, read again and again."""

from __future__ import annotations

from collections.abc import Mapping

from keyclave.models import AuthenticationMethod, KeyAlgorithm
from keyclave.plugin import AlgorithmSupport, BackendContext, BackendDescription, Location, Record

from keyclave_pkcs11_hsm.addresses import token_uri
from keyclave_pkcs11_hsm.connection import Target
from keyclave_pkcs11_hsm.encryption import can_encrypt
from keyclave_pkcs11_hsm.evidence import token_evidence
from keyclave_pkcs11_hsm.gcm import FORM, MAX_PLAINTEXT
from keyclave_pkcs11_hsm.mechanisms import Mechanisms, SigningMechanism, scheme_support
from keyclave_pkcs11_hsm.sessions import Session
from keyclave_pkcs11_hsm.tokens import find_token, serial_of
from keyclave_pkcs11_hsm.wrapping_methods import WrappingMethods

__all__ = ["Abilities", "describe", "look_at"]

Ways = Mapping[str, SigningMechanism]


class Abilities(Record, frozen=True, kw_only=True):
    """What a token can do.

    Attributes:
        algorithms: as the core wants it.
        signing: how the token signs, by algorithm and scheme.
        serial: its serial number.
    """

    algorithms: tuple[AlgorithmSupport, ...]
    signing: Mapping[str, Ways]
    serial: str


def look_at(session: Session, *, read_only: bool) -> Abilities:
    """Return what the token behind a session can do.

    Raises:
        PKCS11Error: it does not say.
    """
    token = session.connection.token
    mechanisms = Mechanisms(token.slot)
    signing = {algorithm.name: mechanisms.signing(algorithm) for algorithm in mechanisms.algorithms()}
    encrypts = can_encrypt(session.raw)
    methods = WrappingMethods(session.raw, mechanisms, read_only=read_only)
    algorithms = tuple(
        _support(algorithm, signing[algorithm.name], methods)
        for algorithm in mechanisms.algorithms()
        if signing[algorithm.name] or (encrypts and not algorithm.signs)
    )
    return Abilities(algorithms=algorithms, signing=signing, serial=serial_of(token))


def describe(target: Target, abilities: Abilities, context: BackendContext) -> BackendDescription:
    """Return what the token can do, and the level that token, slot and mechanisms show now.

    Raises:
        BackendUnavailable, ConfigurationError: see `find_token`.
        PKCS11Error: the module does not say.
    """
    token, library = find_token(target.module, target.label, target.serial), target.module.library
    mechanisms = Mechanisms(token.slot)
    used = {way.mechanism for ways in abilities.signing.values() for way in ways.values()}
    evidence = token_evidence(
        token,
        f"{library.library_description!r} by {library.manufacturer_id!r}",
        in_hardware=bool(used) and all(map(mechanisms.in_hardware, used)),
        context=context,
    )
    return BackendDescription(
        contract="2026.11",
        provider_type="pkcs11-hsm",
        security_level=evidence.level,
        evidence=evidence.sentences,
        simulator=evidence.simulator,
        authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
        location=Location.DEVICE,
        connection_uri=token_uri(target.label, abilities.serial),
        algorithms=abilities.algorithms,
    )


def _support(algorithm: KeyAlgorithm, ways: Ways, methods: WrappingMethods) -> AlgorithmSupport:
    return AlgorithmSupport(
        algorithm=algorithm.name,
        schemes=tuple(scheme_support(scheme, way) for scheme, way in ways.items()),
        max_plaintext=None if algorithm.signs else MAX_PLAINTEXT,
        binds_aad=not algorithm.signs,
        ciphertext_form=None if algorithm.signs else FORM,
        wrap_methods=methods.wrapping(algorithm),
        import_methods=methods.importing(algorithm),
    )
