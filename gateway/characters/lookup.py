"""Which character came of a creation whose answer was lost: a pure rule over Higgsfield's list.

Higgsfield takes no idempotency key here, and tells of a character nothing of what it was made of but name and version.
What makes the rule sound is what was written down before the sending: the characters of that name that were there
already. New ones of that name are ours, unless somebody makes one past this gateway at the same time (ADR 0017).
"""

from collections.abc import Collection, Iterable

from gateway.characters.model import Character, Creation, same_name
from gateway.characters.ports import Listing

WINDOW = 900.0
"""Seconds after the sending in which the character must have been made.

No proxy holds a call so long. Meanwhile nothing else is sent under that name.
"""
TOLERANCE = 120.0
"""Seconds by which `created_at` may lie before the sending: two of Higgsfield's clocks need not agree."""


def came_of(
    creation: Creation, listing: Listing, taken: Collection[str], later: Iterable[Creation]
) -> Character | None:
    """The one character that can have come of it; None where there is none, or more than one.

    `taken` belong to other creations. `later` were sent under the same name after it: what came of it was there by
    then, so what was not known to them is theirs.
    """
    after = [one.known for one in later]
    possible = [
        character
        for character in listing.characters
        if same_name(character.name, creation.name)
        and character.id not in creation.known
        and character.id not in taken
        and all(character.id in known for known in after)
        and character.version in {creation.version, None}
        and (character.create_time is None or _in_time(character.create_time, creation))
    ]
    if len(possible) != 1:
        return None
    (one,) = possible
    # What cannot be read might be it, and so makes another one uncertain; it is never taken for it.
    return one if one.create_time is not None and one.version is not None else None


def _in_time(create_time: float, creation: Creation) -> bool:
    return creation.sent_date - TOLERANCE <= create_time <= creation.sent_date + WINDOW
