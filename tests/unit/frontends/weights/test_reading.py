"""The reader within its process, called here without one: what it notes, and what it answers."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from partwise.frontends.weights.unpickling.worker import convert_file


def test_an_honest_file_gives_its_notes() -> None:
    answer = _answer({"model": {"a": np.ones(3, np.float32)}})
    assert answer == {"notes": ["the state dict is the one under `model`"]}


def test_all_refused_names_are_collected() -> None:
    class Other:
        def __reduce__(self) -> Any:
            return os.path.join, ("a", "b")

    answer = _answer({"a": Other(), "b": torch.nn.Identity()})
    assert answer["refused"][0] == "posixpath.join"
    assert "torch.nn.modules.linear.Identity" in answer["refused"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02.",
        b"\x80\x02K\x01.",
        pickle.dumps(OrderedDict(a=1)),
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR.",  # no arguments
        b"ctorch\nFloatStorage\n(tR.",  # a type called
        b"cnumpy\ndtype\n(]tR.",  # an unhashable code
        b"c_codecs\nencode\n(Va\nVrot13\ntR.",  # a codec that is looked up
        b"cnumpy\nndarray\n(K\x01tb.",  # state given to a class
    ],
)
def test_nonsense_is_broken(data: bytes) -> None:
    out = io.BytesIO()
    assert "broken" in convert_file(io.BytesIO(data), len(data), out)
    assert out.getvalue() == b""


def test_state_given_to_a_stand_in_changes_nothing_for_the_next() -> None:
    evil = b"ctorch.storage\nUntypedStorage\n(N}X\x04\x00\x00\x00sizeK\x00stb."
    convert_file(io.BytesIO(evil), len(evil), io.BytesIO())
    assert _answer({"a": np.ones(2, np.float32)}) == {"notes": []}


def _answer(value: Any) -> dict[str, Any]:
    data = pickle.dumps(value)
    return convert_file(io.BytesIO(data), len(data), io.BytesIO())
