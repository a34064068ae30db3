"""Files of proofs that two readers would read differently, and text that commands the terminal it is shown on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from partwise.cli.render import show_verdict
from partwise.cli.streams import plain_text, say
from partwise.dsperse.records import RUN_FORMAT, read_result
from partwise.dsperse.tensors import read_tensors
from partwise.errors import InputError, ManifestError
from partwise.files import user_folder
from partwise.ir import DType, Output
from partwise.verification import Outcome, Verdict
from partwise.verification.zk.bundle import Bundle, read_bundle, write_bundle
from partwise.verification.zk.command_templates import parse_templates
from partwise.verification.zk.ends import exact_values
from partwise.verification.zk.manifest import (
    CircuitEntry,
    ProofManifest,
    proof_manifest_from_bytes,
    proof_manifest_to_bytes,
)
from partwise.verification.zk.pins import noted_manifest
from partwise.verification.zk.prover import KeyFile
from partwise.verification.zk.settings import CircuitSettings
from partwise.verification.zk.verify import Pin, verify_proofs
from proof_manifests import DIGEST, one_segment
from zk_echo import EchoProver, echo_proof


def _claim(folder: Path, text: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    (folder / "claim.json").write_text(text)
    return read_tensors(folder / "claim.json", [("y", shape)])


@pytest.mark.parametrize(
    "text",
    [
        '{"input_data": [[1, 2]], "y": [[3, 4]]}',
        '{"y": [[3, 4]], "input_data": [[1, 2]]}',
        '{"input_data": [], "z": 1}',
    ],
)
def test_a_claim_by_position_and_by_name(text: str, tmp_path: Path) -> None:
    """What was proved stood under `input_data`, what people read under the output's name."""
    with pytest.raises(InputError, match="says two things"):
        _claim(tmp_path, text, (1, 2))


@pytest.mark.parametrize("text", ["[[[1, 2, 3], [4, 5, 6]]]", "[[[1], [2]], [[3], [4]], [[5], [6]]]"])
def test_a_claim_of_another_arrangement(text: str, tmp_path: Path) -> None:
    """Two rows of three, where three rows of two were proved: only a flat list takes its tensor's shape."""
    assert _claim(tmp_path, f'{{"y": {text}}}', (3, 2))["y"].shape != (3, 2)
    assert _claim(tmp_path, '{"y": [1, 2, 3, 4, 5, 6]}', (3, 2))["y"].shape == (3, 2)


@pytest.mark.parametrize("text", ["[true, 0.5]", "[[1, 2], [true, 3]]", "[0, false]"])
def test_booleans_among_the_numbers_of_a_claim(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="booleans among numbers"):
        _claim(tmp_path, f'{{"y": {text}}}', (2,))


@pytest.mark.parametrize("more", [1, 256, 511])
def test_a_whole_number_that_float64_would_round_to_the_largest(more: int) -> None:
    """Beyond 62 bits integers were read as floats, and these as 2^62 itself."""
    assert exact_values(np.array([2**62]), 0, "y") == (2**62,)
    for value in (2**62 + more, -(2**62) - more):
        with pytest.raises(InputError, match="no circuit holds"):
            exact_values(np.array([value]), 0, "y")


def _judged(manifest: ProofManifest, bundle: Callable[[Bundle], Bundle], folder: Path, claim: float = 3.0) -> Verdict:
    """An honest proof of y = x, changed on its way."""
    proofs = {0: echo_proof([(3,)], [(3,)])}
    made = Bundle(manifest=proof_manifest_to_bytes(manifest), not_proved=frozenset(), proofs=proofs, keys={})
    write_bundle(folder / "proofs.zip", bundle(made))
    pin = Pin(digest=manifest.digest, by="the client")
    found = verify_proofs(
        read_bundle(folder / "proofs.zip"),
        EchoProver(),
        pin=pin,
        request={"x": np.array([3.0])},
        claim={"y": np.array([claim])},
    )
    return found.verdict


def test_an_index_that_denies_a_proof_beside_it(tmp_path: Path) -> None:
    """One reader counts proofs, another reads the index: what says both is no honest file."""
    manifest = replace(one_segment(DType.FLOAT32), prover="echo")
    assert _judged(manifest, lambda honest: honest, tmp_path).outcome is Outcome.ACCEPTED
    denied = _judged(manifest, lambda honest: replace(honest, not_proved=frozenset({0})), tmp_path)
    assert denied.outcome is Outcome.REJECTED
    assert "says that there is none" in denied.reason


def test_an_answer_of_a_segment_that_is_not_proved(tmp_path: Path) -> None:
    """It ran plainly and gave what no circuit gives: nothing is false, and nothing shown."""
    manifest = replace(one_segment(DType.FLOAT32), prover="echo")
    assert _judged(manifest, lambda honest: honest, tmp_path, claim=3.25).outcome is Outcome.REJECTED
    left = _judged(manifest, lambda honest: replace(honest, proofs={}, not_proved=frozenset({0})), tmp_path, claim=3.25)
    assert (left.outcome, left.reason) == (Outcome.INCONCLUSIVE, "segment 0 is not proved")


@pytest.mark.parametrize(
    "names",
    [("k" * 101,), ("é" * 90,), ("-rf",), (".",), ("..",), ("a/b",), ("a b",), ("",), ("a\n",), ("vk.key", "vk.key")],
)
def test_names_of_keys_that_are_no_file_names(names: tuple[str, ...]) -> None:
    """A program as prover finds them in a folder: as long, as many and as odd as the manifest says."""
    keys = tuple(KeyFile(name=name, digest=DIGEST, size=1) for name in names)
    manifest = one_segment(DType.FLOAT32)
    entry = replace(manifest.segments[0], circuit=CircuitEntry(settings=CircuitSettings(), keys=keys, rows=1))
    with pytest.raises(ManifestError, match="name"):
        proof_manifest_from_bytes(proof_manifest_to_bytes(replace(manifest, segments=(entry,))), "manifest")


@pytest.mark.parametrize(
    "odd", ["{segment!r}", "{segment:d}", "{segment!x}", "{segment:>999999999}", "{segment:{folder}}"]
)
def test_templates_that_do_more_than_name(odd: str) -> None:
    """Formats broke off in the middle of a step, or made an argument of a gigabyte."""
    text = """
        version: "1"
        setup: [p, "ODD", "{segment}", "{settings}", "{folder}"]
        witness: [p, "{folder}", "{inputs}", "{witness}", "{outputs}"]
        prove: [p, "{folder}", "{witness}", "{proof}"]
        verify: [p, "{keys}", "{sizes}", "{proof}", "{finding}"]
    """
    assert parse_templates(text.replace("ODD", "{segment}"), "t", is_yaml=True).version == "1"
    with pytest.raises(InputError, match="formats a placeholder"):
        parse_templates(text.replace("ODD", odd), "t", is_yaml=True)


@pytest.mark.parametrize("depth", [65, 300, 400, 480])
def test_a_record_of_pieces_without_end(depth: int, tmp_path: Path) -> None:
    """Read, and then not written any more: `verify` ended with a stack of calls, not with a verdict."""
    leaf = '{"segment_id": "s", "witness_execution": {"method": "m", "seconds": 1}'
    nested = f'{leaf}, "pieces": [' * depth + leaf + "}" + "]}" * depth
    head = '"model": "m", "package": "p", "manifest": null, "error": {}, "total_segments": 1, "witness_segments": 0'
    (tmp_path / "run_result.json").write_text(f'{{"format": "{RUN_FORMAT}", {head}, "segments": [{nested}]}}')
    with pytest.raises(InputError, match=r"pieces within pieces|nested too deep"):
        read_result(tmp_path)


@pytest.mark.parametrize("name", ["cafe\u0301", "\u212b", "y\u200b", "y\u00a0", "\x1b[2Jy", "y" * 1001])
def test_an_output_that_is_shown_as_another(name: str) -> None:
    """`é` of one character and of two, spaces of no width: two outputs that a person takes for each other."""
    manifest = one_segment(DType.FLOAT32)
    other = replace(manifest, outputs=(*manifest.outputs, Output(name=name, tensor="y")))
    with pytest.raises(ManifestError, match="a name that nobody could read"):
        proof_manifest_from_bytes(proof_manifest_to_bytes(other), "manifest")


HOSTILE = "segment \x1b[2J\x1b]0;mine\x07 \u202edetpecca [/b] \x9b1m"


def test_no_reason_or_name_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys of a claim, names in a stranger's model: shown, as what they are."""
    show_verdict(Verdict(outcome=Outcome.REJECTED, reason=HOSTILE, notes=(HOSTILE,)))
    say(f"InputError: {HOSTILE}\nHint: none", err=True)
    shown = capsys.readouterr()
    assert "\\x1b[2J" in shown.out
    assert "\\u202e" in shown.err
    assert all(letter.isprintable() or letter == "\n" for letter in shown.out + shown.err)
    assert plain_text("größer → 2^-7") == "größer → 2^-7"


def test_a_relative_state_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the proofs lies a folder `state` that pins them: it is nobody's state but who sent it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_folder("XDG_STATE_HOME", ".local/state") == tmp_path / "home" / ".local" / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    from partwise.verification.zk.pins import note_manifest

    note_manifest(tmp_path / "slices", DIGEST)
    assert noted_manifest(tmp_path / "slices") == DIGEST
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert (tmp_path / "state").is_dir()
    assert noted_manifest(tmp_path / "slices") is None
