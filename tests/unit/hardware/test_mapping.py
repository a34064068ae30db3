"""Products on units: tiles, waves, padding, scratchpads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partwise.errors import DeviceError
from partwise.hardware import Device, DeviceKind, Product, catalog, find_device, map_product

H100, TPU, KPU, I7 = (find_device(name) for name in ("h100-sxm", "tpu-v4", "kpu-t2", "intel-i7"))
SIZES = st.integers(1, 5000)


@given(st.sampled_from(catalog().devices), st.integers(1, 64), SIZES, SIZES, SIZES)
def test_no_product_gets_more_than_the_device_has(
    device: Device, batch: int, rows: int, columns: int, depth: int
) -> None:
    found = map_product(device, Product(batch, rows, columns, depth), 2)
    assert 0 < found.busy <= 1
    assert 0 < found.padding <= 1
    assert 0 < found.pipeline <= 1
    assert 0 < found.utilization <= 1
    assert (found.waves - 1) * found.units < found.tiles <= found.waves * found.units


def test_one_tile_more_than_the_units_costs_a_wave() -> None:
    side = 128 * 11  # 11 × 12 tiles of 128 × 128 fill 132 multiprocessors once
    full = map_product(H100, Product(1, side, 128 * 12, 4096))
    assert full.busy == 1.0
    assert full.utilization > map_product(H100, Product(1, side + 1, 128 * 12, 4096)).utilization * 1.05


def test_a_small_product_leaves_multiprocessors_idle() -> None:
    assert map_product(H100, Product(1, 64, 64, 64)).busy < 0.1


def test_a_product_of_one_row_runs_on_the_vector_units() -> None:
    assert map_product(H100, Product(1, 1, 4096, 4096)).vector
    assert map_product(H100, Product(64, 3136, 1, 9)).vector
    assert not map_product(H100, Product(1, 64, 4096, 4096)).vector


def test_occupancy_is_what_shared_memory_has_room_for() -> None:
    wide = map_product(H100, Product(64, 4096, 4096, 4096), 4)
    narrow = map_product(H100, Product(64, 4096, 4096, 4096), 1)
    assert wide.occupancy is not None
    assert narrow.occupancy is not None
    assert 0 < wide.occupancy <= narrow.occupancy <= 1


def test_a_systolic_array_pads_to_its_sides() -> None:
    assert map_product(TPU, Product(1, 100_000, 64, 128)).padding == 0.5
    assert map_product(TPU, Product(1, 100_000, 128, 128 * 8)).padding == 1.0
    assert map_product(TPU, Product(1, 4, 128, 128 * 8)).utilization < 0.05  # rows too few to fill the pipeline


def test_a_tile_fits_its_scratchpad() -> None:
    for element_bytes in (1, 2, 4):
        found = map_product(KPU, Product(1, 4096, 4096, 4096), element_bytes)
        high, wide = found.tile
        assert KPU.scratchpad_bytes is not None
        assert (high * wide + 2 * 16 * (high + wide)) * element_bytes <= KPU.scratchpad_bytes
    assert found.tiles == -(-4096 // high) * -(-4096 // wide)


def test_cores_share_microkernels() -> None:
    assert map_product(I7, Product(1, 6, 16, 512)).busy == 1 / 8
    assert map_product(I7, Product(1, 4096, 4096, 512)).busy > 0.99


@pytest.mark.parametrize(
    ("kind", "figure"),
    [
        (DeviceKind.GPU, "units"),
        (DeviceKind.CPU, "lanes"),
        (DeviceKind.KPU, "scratchpad_bytes"),
        (DeviceKind.TPU, "units"),
    ],
)
def test_a_missing_figure_is_named(kind: DeviceKind, figure: str) -> None:
    device = next(device for device in catalog().devices if device.kind is kind)
    with pytest.raises(DeviceError, match=f"`{figure}`"):
        map_product(replace(device, **{figure: None}), Product(1, 8, 8, 8))
