"""Where something was written, for messages."""

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from partwise.frontends.torch.origin import failing_module, origin  # noqa: E402


class Odd(torch.nn.Module):
    def forward(this, x: Any) -> Any:
        raise ValueError(f"no {x}")


def test_the_innermost_module_at_work_is_named_with_its_line() -> None:
    module = torch.nn.Sequential(torch.nn.Identity(), Odd())
    with pytest.raises(ValueError, match="no") as caught:
        module(torch.zeros(1))
    assert failing_module(caught.value, module).startswith(f"1 (Odd), {__file__}:")


def test_a_line_of_code_that_torch_made_up_is_nobodys() -> None:
    trace = 'File "/a/model.py", line 3, in forward\n  x\nFile "<eval_with_key>.7", line 13, in forward\n  y'
    assert origin(SimpleNamespace(meta={"stack_trace": trace})) == "/a/model.py:3"
