"""Whether vectors of two providers may stand in one index."""

from collections.abc import Sequence
from math import sqrt

SAME_SPACE_COSINE = 0.99


def same_space(
    preferred_space: str | None,
    other_space: str | None,
    preferred_vector: Sequence[float] | None,
    other_vector: Sequence[float] | None,
) -> bool | None:
    """Whether two embedders share a vector space; None when neither names nor vectors tell.

    Args:
        preferred_space: `metadata.embedding_space` of the preferred one.
        other_space: the same of the other one.
        preferred_vector: its vector of the probe's sentence.
        other_vector: the other one's vector of the same sentence.
    """
    if preferred_space is not None and other_space is not None:
        return preferred_space == other_space
    if preferred_vector is None or other_vector is None:
        return None
    if len(preferred_vector) != len(other_vector):
        return False
    return cosine(preferred_vector, other_vector) >= SAME_SPACE_COSINE


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors of equal length; 0 when one has no length."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = sqrt(sum(a * a for a in one)) * sqrt(sum(b * b for b in other))
    return product / lengths if lengths else 0.0
