"""Where something was written, for messages."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from partwise.frontends.torch.origin import failing_module  # noqa: E402


class Odd(torch.nn.Module):
    def forward(this, x: Any) -> Any:
        raise ValueError(f"no {x}")


def test_the_innermost_module_at_work_is_named_with_its_line() -> None:
    module = torch.nn.Sequential(torch.nn.Identity(), Odd())
    with pytest.raises(ValueError, match="no") as caught:
        module(torch.zeros(1))
    assert failing_module(caught.value, module).startswith(f"1 (Odd), {__file__}:")
