"""The Merkle tree: every leaf leads to the root, and nothing else does."""

from __future__ import annotations

import pytest

from partwise.verification.zk.recompute.merkle import Tree, root_of


@pytest.mark.parametrize("count", range(1, 18))
def test_every_leaf_leads_to_the_root(count: int) -> None:
    leaves = [bytes([place]) for place in range(count)]
    tree = Tree(leaves)
    for place, leaf in enumerate(leaves):
        path = tree.path(place)
        assert root_of(leaf, place, count, path) == tree.root
        assert root_of(leaf + b"x", place, count, path) != tree.root
        assert root_of(leaf, place, count, (*path, b"\0" * 32)) is None
        if path:
            assert root_of(leaf, place, count, path[:-1]) is None
            assert root_of(leaf, place, count, (b"\0" * 32, *path[1:])) != tree.root


def test_a_leaf_elsewhere_does_not_lead_there() -> None:
    tree = Tree([b"a", b"b", b"c", b"d"])
    assert root_of(b"a", 1, 4, tree.path(0)) != tree.root
    assert root_of(b"a", 4, 4, tree.path(0)) is None
