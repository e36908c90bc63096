"""Groups: what is joined, against scipy's connected components, and the limit that keeps chains from growing."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from transfer.data.groups import group_copies, join_groups
from transfer.data.near_duplicates import NearDuplicate


def _digests(n: int) -> list[str]:
    return [hashlib.sha256(f"{place}".encode()).hexdigest() for place in range(n)]


PLACES = st.integers(0, 9)


@given(st.lists(st.tuples(PLACES, PLACES, st.floats(0, 0.03)), max_size=12))
def test_copies_are_the_connected_components(links: list[tuple[int, int, float]]) -> None:
    """Ten images: no group can be larger than the limit."""
    digests = _digests(10)
    pairs = [NearDuplicate(min(one, other), max(one, other), apart) for one, other, apart in links if one != other]
    one, other = ([pair.first for pair in pairs], [pair.second for pair in pairs])
    _, labels = connected_components(coo_array((np.ones(len(pairs)), (one, other)), shape=(10, 10)), directed=False)
    found = group_copies(digests, pairs)
    assert found.n_left_apart == 0
    assert found.names == tuple(
        min(digest for digest, other in zip(digests, labels, strict=True) if other == label) for label in labels
    )


@given(st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from(["", "x", "y", "z"])), min_size=1, max_size=10))
def test_joined_groups_are_the_components_over_both_names(named: list[tuple[str, str]]) -> None:
    digests = _digests(len(named))
    linked = [[one[0] == other[0] or (one[1] == other[1] != "") for other in named] for one in named]
    _, labels = connected_components(coo_array(np.array(linked, dtype=float)), directed=False)
    found = join_groups(digests, [one for one, _ in named], [two for _, two in named])
    assert [[one == other for other in found] for one in found] == (labels[:, None] == labels).tolist()


def test_a_chain_is_cut_at_its_weakest_links_once_it_holds_a_tenth_of_the_images() -> None:
    n_images, length = 300, 45
    chain = [NearDuplicate(place, place + 1, 0.02 if place % 15 == 14 else 0.01) for place in range(length - 1)]
    found = group_copies(_digests(n_images), chain)
    sizes = sorted((found.names.count(name) for name in set(found.names)), reverse=True)
    assert sizes[:3] == [30, 15, 1]
    assert found.n_left_apart == 1


def test_identical_content_stays_together_however_much_there_is_of_it() -> None:
    digests = ["same"] * 50 + _digests(10)
    found = group_copies(digests, [NearDuplicate(0, 55, 0.001)])
    assert found.names[:50] == ("same",) * 50
    assert found.names[55] == digests[55]
    assert found.n_left_apart == 1
