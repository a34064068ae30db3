"""An interface accepts what fits, remembers it, and refuses what does not, remembered or not."""

import numpy as np
import pytest

from partwise.errors import InterfaceMismatchError
from partwise.ir import DType
from partwise.packaging import Port
from partwise.runtime.sizes import Interface

PORTS = (
    Port(tensor="x", dtype=DType.FLOAT32, shape=("batch", 3)),
    Port(tensor="mask", dtype=DType.BOOL, shape=None),
)


def given(batch: int = 2, dtype: str = "float32") -> dict[str, np.ndarray]:
    return {"x": np.zeros((batch, 3), dtype), "mask": np.zeros(7, bool)}


@pytest.fixture
def interface() -> Interface:
    found = Interface("segment 0 input", PORTS)
    found.check(given(), {"batch": 2})
    return found


def test_the_same_sizes_fit_again(interface: Interface) -> None:
    interface.check(given(), {"batch": 2})


def test_other_sizes_are_checked_anew(interface: Interface) -> None:
    interface.check(given(batch=5), {"batch": 5})
    with pytest.raises(InterfaceMismatchError, match="shape"):
        interface.check(given(batch=2), {"batch": 5})


def test_a_shape_that_is_not_known_may_change(interface: Interface) -> None:
    interface.check(given() | {"mask": np.zeros((4, 4), bool)}, {"batch": 2})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (given(dtype="float64"), "dtype"),
        (given(batch=3), "shape"),
        ({"x": given()["x"]}, "lacks `mask`"),
        (given() | {"y": np.zeros(1)}, "`y` is unknown"),
        ({"x": given()["x"], "y": given()["mask"]}, "lacks `mask`"),
    ],
)
def test_what_does_not_fit_is_refused_also_after_what_did(
    interface: Interface, wrong: dict[str, np.ndarray], says: str
) -> None:
    with pytest.raises(InterfaceMismatchError, match=says):
        interface.check(wrong, {"batch": 2})
