"""Find the key of a label: by the trail of its aliases, and where that ends by the tags of all keys.

The first alias of a label leads to its first key. The next key, after a destruction, has an alias that is named after
the destroyed one, and so on: see `keyclave_aws.labels.next_alias`. KMS deletes the aliases of a key with it, days
after its destruction, and then the trail ends before keys that are still there. So where it ends without a usable
key, the names of all aliases are looked at as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from keyclave.errors import Conflict, KeyNotFound
from keyclave.plugin import KeyLabel, Record

from keyclave_aws.labels import alias_of, next_alias
from keyclave_aws.lookup import FoundKey, Lookup, id_of
from keyclave_aws.patience import settled

__all__ = ["Trail", "Trails"]

_CALM = timedelta(hours=1)
"""No call of Keyclave takes as long."""


class Trail(Record, frozen=True, kw_only=True):
    """Where the aliases of a label lead: past the keys that are destroyed, each of which names the next alias.

    Attributes:
        found: the usable key with the label's tags, if they lead to one.
        free: the alias that was not there: that of the next key with the label.
        strayed: whether one leads to a key of another label, as none of ours does.
        ends: when the first of the destroyed keys is deleted, and its alias with it, if there is one.
    """

    found: FoundKey | None
    free: str
    strayed: bool
    ends: datetime | None


class Trails:
    """Finds keys by their labels.

    Args:
        lookup: looks at keys.
        prefix: the first part of all aliases.
    """

    def __init__(self, lookup: Lookup, prefix: str) -> None:
        self._lookup = lookup
        self._prefix = prefix

    def by_label(self, label: KeyLabel) -> FoundKey:
        """Return the usable key with this label.

        Raises:
            KeyNotFound: there is none, or it is scheduled to be deleted, or was not imported yet.
        """
        trail = self.follow(label)
        found = trail.found or self._by_tags(label, trail)
        if found is None:
            raise KeyNotFound("AWS KMS has no usable key with this label")
        return found

    def follow(self, label: KeyLabel, *, past: str | None = None) -> Trail:
        """Follow the aliases of a label.

        Args:
            label: the label.
            past: the ARN of a key that is passed as if it were destroyed.
        """
        first = alias = alias_of(self._prefix, label)
        passed: Counter[str] = Counter()
        strayed, ends = False, None
        while (target := self._target(alias)) is not None:
            arn, found = target
            if found is not None and found.deletion is not None:
                ends = min(ends or found.deletion, found.deletion)
            if found is not None and found.is_usable and arn != past:
                if self._lookup.label_of(arn) == label:
                    return Trail(found=found, free=alias, strayed=strayed, ends=ends)
                strayed = True
            passed[arn] += 1
            alias = next_alias(first, id_of(arn), passed[arn])
        hidden = (key for key in self._hidden(label) if key.arn != past and key.arn not in passed)
        return Trail(found=next(hidden, None), free=alias, strayed=strayed, ends=ends)

    def end(self, label: KeyLabel, *, begun: bool) -> tuple[FoundKey | None, Trail]:
        """Return the usable key with this label, and the trail, at whose end a new one may be put if there is none.

        Args:
            label: the label.
            begun: whether a key with the label may have been made that no alias leads to.

        Raises:
            Conflict: a destroyed key of the label is about to be deleted.
        """
        trail = self.follow(label)
        found = trail.found
        if found is None:
            _require_lasting(trail)
            if begun or trail.strayed:
                found = self._left_behind(label, trail)
        return found, trail

    def _left_behind(self, label: KeyLabel, trail: Trail) -> FoundKey | None:
        """Return the usable key with this label that no alias leads to, once AWS KMS has had time to know of it."""

        def look() -> FoundKey:
            found = self._by_tags(label, trail)
            if found is None:
                raise KeyNotFound("there is none yet")
            return found

        try:
            return settled(look)
        except KeyNotFound:
            return None

    def _target(self, alias: str) -> tuple[str, FoundKey | None] | None:
        try:
            return self._lookup.target(alias)
        except KeyNotFound:
            return None

    def _hidden(self, label: KeyLabel) -> Iterator[FoundKey]:
        """Return the usable keys with this label whose aliases are its own, wherever its trail ends."""
        own = f"{alias_of(self._prefix, label)}/"
        for alias, _ in self._lookup.all_aliases():
            if alias.startswith(own) and (target := self._target(alias)) is not None:
                arn, found = target
                if found is not None and found.is_usable and self._lookup.label_of(arn) == label:
                    yield found

    def _by_tags(self, label: KeyLabel, trail: Trail) -> FoundKey | None:
        """Look at all keys, and return the oldest usable one with the label's tags.

        A key with an alias of another label is passed over, so that a look does not take a call for each key; unless
        somebody moved the aliases.
        """
        others = frozenset() if trail.strayed else self._keys_of_other_labels(label)
        usable = (key for key in self._lookup.labelled(label, others) if key.is_usable)
        return min(usable, key=lambda key: (key.created, key.arn), default=None)

    def _keys_of_other_labels(self, label: KeyLabel) -> frozenset[str]:
        """Return the ids of the keys to which an alias of Keyclave leads that is not one of the label."""
        ours, own = alias_of(self._prefix, label), f"alias/{self._prefix}/"
        return frozenset(
            target
            for alias, target in self._lookup.all_aliases()
            if alias.startswith(own) and alias != ours and not alias.startswith(f"{ours}/")
        )


def _require_lasting(trail: Trail) -> None:
    """Refuse a trail that may end elsewhere before a new key is at its end: two calls could take two ends."""
    if trail.ends is not None and trail.ends < datetime.now(UTC) + _CALM:
        raise Conflict(
            "AWS KMS is about to delete a destroyed key of this label",
            next_step="Repeat the call once it is gone, which takes up to a day after its date.",
        )
