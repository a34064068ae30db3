"""Errors: one message, the same parts as attributes, one exit code a branch."""

from __future__ import annotations

import pickle

import pytest

import partwise.errors as errors
from partwise.errors import InfeasibleError, PartwiseError


def test_message_and_attributes_say_the_same() -> None:
    error = InfeasibleError("stage 2", "needs more memory", expected="≤ 12.0 GiB", got="13.4 GiB", hint="--stages 4.")
    assert str(error) == "stage 2: needs more memory; expected ≤ 12.0 GiB, got 13.4 GiB. Hint: --stages 4."
    assert error.as_dict() == {
        "error": "InfeasibleError",
        "subject": "stage 2",
        "what": "needs more memory",
        "expected": "≤ 12.0 GiB",
        "got": "13.4 GiB",
        "hint": "--stages 4.",
        "message": str(error),
    }


def test_a_message_needs_no_facts() -> None:
    assert str(PartwiseError("model.onnx", "is empty")) == "model.onnx: is empty."


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "PartwiseError"])
def test_every_error_has_its_branch_and_survives_a_process_border(name: str) -> None:
    kind = getattr(errors, name)
    branch = next(base for base in kind.__mro__ if base.__bases__ == (PartwiseError,))
    assert kind.exit_code == branch.exit_code
    error = kind("subject", "what", expected=1, got=2, hint="hint")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (kind, str(error))


def test_branches_have_different_exit_codes_past_usage() -> None:
    branches = PartwiseError.__subclasses__()
    codes = [branch.exit_code for branch in branches]
    assert len(set(codes)) == len(codes)
    assert min(codes) == 3
