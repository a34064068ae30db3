"""Segments proved in pieces: a manifest that names pieces of a segment pins both ways to prove it.

A segment may be proved whole, or by all of its pieces, each under its own pinned key and each edge between them
checked; a piece may have pieces in its turn. Which way was taken is the prover's choice and needs no belief, since
the digest of the manifest covers both. A place is a segment's number, then that of each piece inside: (2, 0).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from partwise.errors import ManifestError
from partwise.verification.zk.manifest import ProofManifest, ProvedSegment, proof_manifest_problems

__all__ = ["Place", "expand", "extend", "find", "place_name", "whole"]

Place = tuple[int, ...]


def place_name(place: Place) -> str:
    """A place for people: `segment 2`, `segment 2.0`."""
    return f"segment {'.'.join(map(str, place))}"


def whole(manifest: ProofManifest) -> ProofManifest:
    """The manifest without any pieces: the one that it extends."""
    return replace(manifest, segments=tuple(replace(segment, pieces=()) for segment in manifest.segments))


def find(manifest: ProofManifest, place: Place) -> ProvedSegment:
    """The segment, or the piece, at a place.

    Raises:
        ManifestError: there is none.
    """
    given = manifest.segments
    found = None
    for step in place:
        if not 0 <= step < len(given):
            raise ManifestError("manifest", f"has no {place_name(place)}")
        found, given = given[step], given[step].pieces
    if found is None:
        raise ManifestError("manifest", "has no segment without a number")
    return found


def extend(manifest: ProofManifest, place: Place, pieces: tuple[ProvedSegment, ...]) -> ProofManifest:
    """The manifest with pieces at a place.

    Raises:
        ManifestError: there is no such place, or the pieces cannot be linked.
    """
    find(manifest, place)
    found = replace(manifest, segments=_with(manifest.segments, place, pieces))
    flat, _ = expand(found, [place[:length] for length in range(1, len(place) + 1)])
    if problems := list(proof_manifest_problems(flat)):
        raise ManifestError(f"pieces of {place_name(place)}", f"cannot be linked: {problems[0]}")
    return found


def expand(manifest: ProofManifest, divided: Collection[Place]) -> tuple[ProofManifest, tuple[Place, ...]]:
    """The manifest with pieces in the place of divided segments, renumbered in a row, and where each came from.

    Args:
        manifest: checked.
        divided: places whose pieces stand for them; a piece is named beside the segment that it is of.

    Raises:
        ManifestError: a place that is not, or has no pieces.
    """
    wanted = set(divided)
    if not wanted:
        return manifest, tuple((number,) for number in range(len(manifest.segments)))
    places = list(_leaves(manifest.segments, (), wanted))
    if wanted:
        raise ManifestError("manifest", f"has no pieces of {place_name(min(wanted))}")
    home, flat = dict[str, int](), list[ProvedSegment]()
    for number, (_, segment) in enumerate(places):
        inputs = tuple(replace(wire, source=home.get(wire.tensor)) for wire in segment.inputs)
        home |= {wire.tensor: number for wire in segment.outputs}
        flat.append(replace(segment, inputs=inputs, pieces=()))
    return replace(manifest, segments=tuple(flat)), tuple(place for place, _ in places)


def _leaves(
    segments: Iterable[ProvedSegment], above: Place, wanted: set[Place]
) -> Iterable[tuple[Place, ProvedSegment]]:
    """In order; what was wanted and found is taken out of `wanted`."""
    for number, segment in enumerate(segments):
        place = (*above, number)
        if place in wanted and segment.pieces:
            wanted.discard(place)
            yield from _leaves(segment.pieces, place, wanted)
        else:
            yield place, segment


def _with(
    segments: tuple[ProvedSegment, ...], place: Place, pieces: tuple[ProvedSegment, ...]
) -> tuple[ProvedSegment, ...]:
    at, inner = place[0], place[1:]
    changed = replace(segments[at], pieces=_with(segments[at].pieces, inner, pieces) if inner else pieces)
    return (*segments[:at], changed, *segments[at + 1 :])
