"""Make ``import torchvision`` work beside a CPU-only torch.

The torchvision wheel on the package index is built for CUDA. Beside a CPU-only torch its compiled
operators do not load, and its import then stops at ``operator torchvision::nms does not exist``. Nothing
in this course calls those operators, so declaring their signatures is enough. Declaring them in front of a
healthy torchvision aborts the process, which is why the plain import is tried first.
"""

import sys

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def ensure_torchvision() -> bool:
    """Import torchvision, repairing only the failure described above.

    Returns:
        True if the repair was needed, False if torchvision was healthy (nothing is touched then).
    """
    try:
        import torchvision

        return False
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    import torch

    for name in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported: what is left would be found instead of loaded again
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", _SIGNATURE)
    import torchvision  # noqa: F401

    return True
