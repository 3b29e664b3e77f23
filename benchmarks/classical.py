"""How long a classical fill takes, by the size of its hole; Telea's is the yardstick.

python -m benchmarks.classical
"""

import time

import torch

import facecomp_lib as fc

SIDES, ROUNDS = (16, 32, 64), 5


def milliseconds(kind: str, image: torch.Tensor, mask: torch.Tensor) -> float:
    """CPU time of one fill of one image: the median of some rounds, after one that warms up."""
    fc.classical.complete(image, mask, kind)
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        fc.classical.complete(image, mask, kind)
        taken.append(1000 * (time.process_time() - start))
    return sorted(taken)[ROUNDS // 2]


def main() -> None:
    torch.set_num_threads(1)
    image = fc.faces.embedded("test")[0].image
    print(f"ms per image of {image.shape[-1]} px and (in brackets) times Telea's, by the side of the hole")
    print(f"{'':14}" + "".join(f"{side:>18} px" for side in SIDES))
    masks = [fc.masks.make("center", image.shape[-1], side=side) for side in SIDES]
    telea = [milliseconds("telea", image, mask) for mask in masks]
    for kind in fc.classical.KINDS:
        times = [milliseconds(kind, image, mask) for mask in masks]
        cells = (f"{t:9.1f} ({t / base:6.1f} x)" for t, base in zip(times, telea, strict=True))
        print(f"{kind:14}" + "".join(f"{cell:>21}" for cell in cells))
    blends = []
    for mask in masks:
        start = time.process_time()
        fc.classical.poisson_blend(image, 0.9 * image, mask)
        blends.append(1000 * (time.process_time() - start))
    cells = (f"{t:9.1f} ({t / base:6.1f} x)" for t, base in zip(blends, telea, strict=True))
    print(f"{'Poisson blend':14}" + "".join(f"{cell:>21}" for cell in cells))


if __name__ == "__main__":
    main()
