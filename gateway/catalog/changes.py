"""Compares two versions of Higgsfield's list of models: which are new, changed or gone.

A model that is no longer listed stays in the stored list, marked as gone. Each model has its last change, so a watch
can start at any revision without a log of changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.catalog.differences import differences
from gateway.catalog.model import Change, Item, Listing, Model

MAX_GONE = 1000
"""The most models that are remembered as gone; those that changed last are kept."""


def revision_of(items: Iterable[Item]) -> int:
    """Return the number of the last change of any model; 0 if there was none."""
    return max((item.listing.revision for item in items if isinstance(item, Model) and item.listing), default=0)


def changes_after(items: Iterable[Item], revision: int) -> list[tuple[Model, Listing]]:
    """Return the models whose last change is newer than a revision, in the order of their changes."""
    found = [(item, item.listing) for item in items if isinstance(item, Model) and item.listing is not None]
    return sorted((pair for pair in found if pair[1].revision > revision), key=lambda pair: pair[1].revision)


def with_listings(
    before: Sequence[Model] | None, fetched: Sequence[Model], wall: float, *, complete: bool
) -> tuple[Model, ...]:
    """Return the fetched models with their listings, followed by those that are gone.

    `before` is the stored list; None at the first fetch, which changes nothing. Unless the fetched list is `complete`,
    a missing model may be one that could not be read, and stays as it was.
    """
    if before is None:
        return tuple(replace(model, listing=Listing(wall)) for model in fetched)
    known = {model.id: model for model in before}
    revision = revision_of(before)
    listed: list[Model] = []
    for model in sorted(fetched, key=lambda one: one.id):
        old = known.pop(model.id, None)
        if old is None or old.listing is None or old.listing.gone:
            change, details = Change.NEW, tuple[str, ...]()
        elif details := differences(old, model):
            change = Change.CHANGED
        else:
            listed.append(replace(model, listing=replace(old.listing, last_seen=wall)))
            continue
        revision += 1
        listed.append(replace(model, listing=Listing(wall, change, wall, revision, details)))
    gone: list[Model] = []
    for model in known.values():
        listing = model.listing or Listing(wall)
        if complete and not listing.gone:
            revision += 1
            listing = replace(listing, change=Change.GONE, changed_at=wall, revision=revision, details=())
        gone.append(replace(model, listing=listing))
    gone.sort(key=lambda one: one.listing.revision if one.listing else 0, reverse=True)
    return (*listed, *gone[:MAX_GONE])
