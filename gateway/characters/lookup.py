"""Finds the character of a creation whose response was lost: a pure rule over Higgsfield's list.

Higgsfield accepts no idempotency key here, and reports only the name and version of a character, not its images.
Therefore the ids of all characters with the name are stored before the order is sent. A new character with the name is
the result of the order, unless another program creates one with the same account at the same time (ADR 0017).
"""

from collections.abc import Collection, Iterable

from gateway.characters.model import Character, Creation, same_name
from gateway.characters.ports import Listing

CREATION_TIMEOUT = 900.0
"""Seconds after sending within which the character must have been created.

No proxy holds a request longer. While the outcome is unknown, no other order with the name is sent for this time.
"""
CLOCK_TOLERANCE = 120.0
"""Seconds by which `created_at` may precede the sending, because Higgsfield's clocks may differ."""


def result_of(
    creation: Creation, listing: Listing, taken: Collection[str], later: Iterable[Creation]
) -> Character | None:
    """Return the only character that can be the result of a creation; None if there is none, or more than one.

    `taken` are characters of other creations. `later` are creations with the same name that were sent afterwards. The
    result already existed then, so a character that is not in their `known` is one of theirs.
    """
    known_later = [creation.known for creation in later]
    candidates = [
        character
        for character in listing.characters
        if same_name(character.name, creation.name)
        and character.id not in creation.known
        and character.id not in taken
        and all(character.id in known for known in known_later)
        and character.version in {creation.version, None}
        and (character.create_time is None or _in_time(character.create_time, creation))
    ]
    if len(candidates) != 1:
        return None
    (one,) = candidates
    # A character with missing data may be the result, which makes other candidates ambiguous, but is never returned.
    return one if one.create_time is not None and one.version is not None else None


def _in_time(create_time: float, creation: Creation) -> bool:
    return creation.sent_date - CLOCK_TOLERANCE <= create_time <= creation.sent_date + CREATION_TIMEOUT
