"""What to write instead: the nearest valid word, or the list of all."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 12
"""A list of more words than this helps nobody."""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, None when nothing is near."""
    by_lower = {str(candidate).lower(): str(candidate) for candidate in words}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`did you mean `x`?`, or what there is to choose from; empty when there is nothing."""
    words = [str(candidate) for candidate in words]
    if near := nearest(word, words):
        return f"did you mean `{near}`?"
    if not words:
        return ""
    rest = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return f"there are: {', '.join(words[:_LISTED])}{rest}"
