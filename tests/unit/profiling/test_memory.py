"""What is alive at the peak, and what kernels take beside the values."""

from __future__ import annotations

from graphs import Builder, chain
from partwise.ir import DType
from partwise.profiling import memory, profile


def test_the_peak_names_what_is_there() -> None:
    graph = chain([8, 32, 4], rows=2)  # linear 32, relu 32, linear 4, relu 4
    found = memory(graph, profile(graph).sizes)
    assert found.peak_bytes == profile(graph).peak_bytes
    assert found.activation_bytes == 2 * 2 * 32 * 4
    assert found.peak_node == 1
    assert [(alive.name, alive.bytes) for alive in found.alive] == [("linear_0", 256), ("relu_1", 256)]
    assert sum(alive.bytes for alive in found.alive) == found.activation_bytes


def test_inputs_may_be_the_callers() -> None:
    graph = chain([1000, 8, 8], rows=2)
    assert memory(graph, {}).activation_bytes == 2 * 1000 * 4 + 2 * 8 * 4
    assert memory(graph, {}, inputs=False).activation_bytes == 2 * 2 * 8 * 4


def convolution(channels: int, size: int, kernel: int, stride: int = 1) -> int:
    """Workspace of a convolution of an image to 32 channels, one thread."""
    make = Builder()
    x, weight = make.input((1, channels, size, size)), make.weight((32, channels, kernel, kernel))
    out = size // stride
    y = make.node("aten.conv2d.default", [x, weight, None, stride, kernel // 2], (1, 32, out, out))
    found = memory(make.graph(y), {}, threads=1)
    return sum(alive.bytes for alive in found.alive if alive.workspace)


def test_convolutions_copy_their_argument_and_weights_into_blocks_of_16_channels() -> None:
    pixels = 40 * 40
    assert convolution(24, 40, 3) == 4 * (32 * pixels + 32 * 32 * 9)  # the result's block replaces the result
    assert convolution(3, 224, 7) == 4 * 32 * 224 * 224  # an image is read as it lies
    assert convolution(24, 4, 3) == 0  # too small for blocks


def test_a_strided_convolution_of_one_pixel_gathers_once_a_thread() -> None:
    pixels, strided = 40 * 40, 20 * 20
    assert convolution(32, 40, 1, 2) == 4 * (32 * pixels + 32 * 32 + 32 * strided)


def test_values_alone_count_no_workspace() -> None:
    make = Builder()
    x, weight = make.input((1, 16, 64, 64)), make.weight((16, 16, 3, 3))
    graph = make.graph(make.node("aten.conv2d.default", [x, weight, None, 1, 1], (1, 16, 64, 64)))
    found = memory(graph, {})
    assert not any(alive.workspace for alive in found.alive)
    assert found.activation_bytes == 2 * 16 * 64 * 64 * 4


def scratch(dtype: DType, depth: int) -> int:
    """Workspace of a product of 1,024 rows with a weight of 512, one thread."""
    make = Builder()
    x, weight = make.input((1024, depth), dtype), make.weight((512, depth))
    graph = make.graph(make.node("aten.linear.default", [x, weight], (1024, 512), dtype))
    return sum(alive.bytes for alive in memory(graph, {}, threads=1).alive if alive.workspace)


def test_a_product_in_bfloat16_packs_adds_up_and_copies_rows_that_lie_a_power_of_two_apart() -> None:
    table, packed, added = 640 + 3 * 128, 64 * 1024 * 2, 256 * 64 * 4
    assert scratch(DType.FLOAT32, 4096) == 0
    assert scratch(DType.BFLOAT16, 512) == table + packed // 2 + added
    assert scratch(DType.BFLOAT16, 4000) == table + packed + added
    assert scratch(DType.BFLOAT16, 4096) == table + 128 + packed + 8 * added + 256 * (1024 + 32) * 2
