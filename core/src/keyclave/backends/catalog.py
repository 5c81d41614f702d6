"""Which plugins are installed and which of them may load: read from metadata alone, nothing is imported."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import Distribution, EntryPoint, distributions

from packaging.utils import canonicalize_name

from keyclave.backends.policy import PluginPolicy
from keyclave.backends.report import PluginReport, PluginStage, PluginState
from keyclave.plugin.records import Record

__all__ = ["FIRST_PARTY", "GROUP", "Catalog", "Offer"]

GROUP = "keyclave.backends"
FIRST_PARTY = frozenset({"software", "pkcs11-hsm", "tpm", "os-keychain", "aws", "azure", "gcp", "k8s", "browser"})
"""Names that only the distribution ``keyclave-<name>`` may offer."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Offer(Record, frozen=True, kw_only=True):
    """One plugin as one installed distribution offers it.

    Attributes:
        name: the name of the entry point.
        distribution: the distribution's normalised name (PEP 503).
        version: its version.
        requires: its requirements, as it states them.
        entry_point: what to load, with the distribution that it belongs to.
    """

    name: str
    distribution: str
    version: str
    requires: tuple[str, ...]
    entry_point: EntryPoint

    @property
    def first_party(self) -> bool:
        """Whether it is a first-party plugin: a reserved name, offered by the distribution it is reserved for."""
        return self.name in FIRST_PARTY and self.distribution == f"keyclave-{self.name}"

    def report(self, state: PluginState, stage: PluginStage | None = None, reason: str = "") -> PluginReport:
        """Return the report that says so of this offer."""
        return PluginReport(
            name=self.name,
            distribution=self.distribution,
            version=self.version,
            state=state,
            stage=stage,
            reason=reason,
        )


class Catalog:
    """The installed plugins under a policy.

    Attributes:
        offers: by name, each plugin that may load.
        refused: a report for each one that may not, or whose metadata cannot be read.
    """

    def __init__(self, policy: PluginPolicy) -> None:
        by_name, broken = _read()
        self.offers: dict[str, Offer] = {}
        self.refused: list[PluginReport] = broken
        for name in sorted(by_name):
            self._judge(name, by_name[name], policy)

    def _judge(self, name: str, offers: list[Offer], policy: PluginPolicy) -> None:
        """Keep the one offer that may load, and refuse the others."""
        if not _NAME.fullmatch(name):
            return self._refuse(
                offers,
                PluginState.FAILED,
                PluginStage.DISCOVERY,
                "a plugin's name is lower case letters, digits and -",
            )
        if not policy.allows(name):
            return self._refuse(offers, PluginState.BLOCKED, PluginStage.POLICY, "the settings do not allow it")
        if name in FIRST_PARTY:
            offers = self._keep_first_party(name, offers)
        if name in policy.pins:
            offers = self._keep_pinned(canonicalize_name(policy.pins[name]), offers)
        if len(offers) > 1:
            owners = " and ".join(sorted(f"{o.distribution} ({o.entry_point.value})" for o in offers))
            return self._refuse(
                offers, PluginState.CONFLICTING, PluginStage.DISCOVERY, f"the name is offered by {owners}"
            )
        self.offers.update((offer.name, offer) for offer in offers)
        return None

    def _keep_first_party(self, name: str, offers: list[Offer]) -> list[Offer]:
        for offer in offers:
            if not offer.first_party:
                reason = f"the name is reserved for keyclave-{name}, and {offer.distribution} offers it"
                self._refuse([offer], PluginState.CONFLICTING, PluginStage.DISCOVERY, reason)
        return [offer for offer in offers if offer.first_party]

    def _keep_pinned(self, pinned: str, offers: list[Offer]) -> list[Offer]:
        others = [offer for offer in offers if offer.distribution != pinned]
        self._refuse(others, PluginState.BLOCKED, PluginStage.POLICY, f"the settings pin the name to {pinned}")
        return [offer for offer in offers if offer.distribution == pinned]

    def _refuse(self, offers: list[Offer], state: PluginState, stage: PluginStage, reason: str) -> None:
        self.refused.extend(offer.report(state, stage, reason) for offer in offers)


def _read() -> tuple[Mapping[str, list[Offer]], list[PluginReport]]:
    """Return the offers by name, and a report for each distribution whose metadata cannot be read.

    One distribution at a time: ``importlib.metadata.entry_points`` fails altogether where a single file is broken.
    """
    by_name: dict[str, list[Offer]] = defaultdict(list)
    broken: list[PluginReport] = []
    seen: set[str] = set()
    for distribution in distributions():
        try:
            offers = _offers(distribution)
        except Exception as error:  # whatever the metadata of a stranger provokes
            broken.append(_unreadable(distribution, error))
            continue
        if offers and offers[0].distribution not in seen:  # the first on the path wins, as it does for imports
            seen.add(offers[0].distribution)
            for offer in dict.fromkeys(offers):
                by_name[offer.name].append(offer)
    return by_name, broken


def _offers(distribution: Distribution) -> list[Offer]:
    if GROUP not in (distribution.read_text("entry_points.txt") or ""):
        return []
    name, version = canonicalize_name(distribution.metadata["Name"]), distribution.version
    return [
        Offer(
            name=entry_point.name,
            distribution=name,
            version=version,
            requires=tuple(distribution.requires or ()),
            entry_point=entry_point,
        )
        for entry_point in distribution.entry_points.select(group=GROUP)
    ]


def _unreadable(distribution: Distribution, error: Exception) -> PluginReport:
    where = getattr(distribution, "_path", None)  # importlib.metadata has no public name for it
    return PluginReport(
        name="?",
        distribution=getattr(where, "name", None),
        version=None,
        state=PluginState.FAILED,
        stage=PluginStage.DISCOVERY,
        reason=f"its metadata cannot be read ({type(error).__name__})",
    )
