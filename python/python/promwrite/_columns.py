"""Columns of numbers to bytes of the machine's own order, or to a list."""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more than all the rest of the package
if TYPE_CHECKING:
    from typing import Any


def floats(values: Any) -> bytes | list[float]:
    """A sequence of numbers, or anything with a buffer of them."""
    values = _array(values)
    if hasattr(values, "dtype"):
        if values.dtype.kind not in "biuf":
            raise TypeError(f"values: must be numbers, not {values.dtype}")
        values = values.astype("float64")
    view = _view("values", values)
    if view is None:
        return [_float(value) for value in values]
    return view.tobytes() if view.format in ("d", "@d") else [float(value) for value in view.tolist()]


def milliseconds(timestamps: Any) -> bytes | list[int]:
    """A sequence of whole milliseconds, a buffer of int64, or datetime64 of any unit."""
    timestamps = _array(timestamps)
    if hasattr(timestamps, "dtype"):
        if timestamps.dtype.kind == "M":
            timestamps = timestamps.astype("datetime64[ms]")
        elif timestamps.dtype.kind not in "iu":
            raise TypeError(
                f"timestamps_ms: must be whole milliseconds or datetime64, not {timestamps.dtype}"
            )
        timestamps = timestamps.astype("int64")
    view = _view("timestamps_ms", timestamps)
    if view is None:
        return list(timestamps)
    # one letter is native order, with or without an @
    letter = view.format.removeprefix("@")
    if letter not in ("b", "B", "h", "H", "i", "I", "l", "L", "q", "Q"):
        raise TypeError(f"timestamps_ms: must be whole milliseconds, not a buffer of format {view.format!r}")
    return view.tobytes() if letter in ("l", "q") and view.itemsize == 8 else view.tolist()


def _array(column: Any) -> Any:
    """What pandas, polars and Arrow wrap; their missing values become NaN or NaT, which numpy has too."""
    if isinstance(column, (list, tuple)):
        return column
    if hasattr(column, "to_numpy"):
        try:
            return column.to_numpy()
        except ValueError:
            # Arrow copies only when it is asked to
            return column.to_numpy(zero_copy_only=False)
    return column


def _view(name: str, column: Any) -> memoryview | None:
    if isinstance(column, (list, tuple)):
        return None
    try:
        view = memoryview(column)
    except TypeError:
        return None
    if view.ndim != 1:
        raise TypeError(f"{name}: must have one dimension, not {view.ndim}")
    return view


def _float(value: Any) -> float:
    if isinstance(value, str):
        raise TypeError("values: must be numbers, not str")
    return float(value)
