"""Element types, by the names that numpy and ml_dtypes give them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DType"]


class DType(StrEnum):
    """An element type. `OPAQUE` is a value that is no tensor (an ONNX sequence); it never crosses a cut."""

    BOOL = "bool"
    UINT4 = "uint4"
    INT4 = "int4"
    UINT8 = "uint8"
    INT8 = "int8"
    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E4M3FNUZ = "float8_e4m3fnuz"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E5M2FNUZ = "float8_e5m2fnuz"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    COMPLEX64 = "complex64"
    COMPLEX128 = "complex128"
    STRING = "string"
    OPAQUE = "opaque"

    @property
    def bits(self) -> int:
        """Bits of one element in memory; strings and opaque values count as a 64-bit reference."""
        return _BITS[self]

    @property
    def is_float(self) -> bool:
        """Whether values of this type carry activations rather than indices, masks or positions."""
        return self.value.startswith(("float", "bfloat", "complex"))


_BITS = (
    {DType.UINT4: 4, DType.INT4: 4}
    | dict.fromkeys((d for d in DType if d.value.endswith("8") or "float8" in d or d is DType.BOOL), 8)
    | dict.fromkeys((DType.UINT16, DType.INT16, DType.FLOAT16, DType.BFLOAT16), 16)
    | dict.fromkeys((DType.UINT32, DType.INT32, DType.FLOAT32), 32)
    | dict.fromkeys((DType.UINT64, DType.INT64, DType.FLOAT64, DType.COMPLEX64), 64)
    | {DType.COMPLEX128: 128, DType.STRING: 64, DType.OPAQUE: 64}
)
