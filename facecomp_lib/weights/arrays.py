"""Pickled arrays, read by an unpickler that knows nothing else."""

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["load_array_pickle", "lpips_tensors"]


class _ArrayUnpickler(pickle.Unpickler):
    """Knows numpy arrays and plain containers; any other name in a pickle is refused, not looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        raise pickle.UnpicklingError(
            f"refused: the pickle asks for {module}.{name}, which is not a numpy array"
        )


def _empty_array(_subtype: type, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return what numpy's pickles ask for first; they fill the array afterwards."""
    return np.ndarray(shape, dtype)


def load_array_pickle(data: bytes) -> Any:
    """Read a pickle that holds numpy arrays in plain containers.

    Raises:
        pickle.UnpicklingError: the pickle names any other class or function.
    """
    return _ArrayUnpickler(io.BytesIO(data)).load()


def lpips_tensors(
    trunk: str, layers: Mapping[str, tuple[int, ...]]
) -> Callable[[bytes], dict[str, np.ndarray]]:
    """Return a converter from the archive's pickled tree to the `lpips` package's parameter names.

    Args:
        trunk: the network's branch in the tree.
        layers: the slices of the `lpips` network, each with torchvision's indices of its convolutions.
    """
    names = [f"net.{piece}.{index}" for piece, indices in layers.items() for index in indices]

    def convert(data: bytes) -> dict[str, np.ndarray]:
        tree = load_array_pickle(data)
        tensors = {}
        for i, name in enumerate(names):
            layer = tree[trunk][f"Conv_{i}"]
            tensors[f"{name}.weight"] = layer["kernel"].transpose(3, 2, 0, 1)  # HWIO -> OIHW
            tensors[f"{name}.bias"] = layer["bias"]
        for i in range(5):
            head = tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
            tensors[f"lin{i}.model.1.weight"] = head.transpose(3, 2, 0, 1)  # HWIO -> OIHW
        return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}

    return convert
