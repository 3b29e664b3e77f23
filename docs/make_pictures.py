#!/usr/bin/env python3
"""Take the README's images out of the executed lessons, so that they show what the lessons show.

    python docs/make_images.py        # after: python3 course.py sync --execute

Writes docs/images/*.png, each under 300 KB.
"""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

DOCS = Path(__file__).resolve().parent
LIMIT = 300_000  # bytes
# image -> the notebook it comes from, and words that only its cell contains
IMAGES = {
    "expressions.png": ("05_lafin", '"corners down": fc.faces.edit_landmarks'),
    "gfc_stages.png": ("03_gfc", 'recorded_faces("gfc_stages_128.webp"'),
    "completion.png": ("00_start_here", "fc.show.contact_sheet(torch.cat(list(images.values()))"),
    "astronaut_crops.png": ("00_start_here", '["scratches", "completed", "patch", "completed"]'),
    "astronaut.png": ("00_start_here", "fc.show.photo_row"),
    "labels.png": ("01_faces_and_holes", "fc.show.FaceExplorer(batch)"),
    "duel.png": ("02_measuring_completion", "fc.show.duel(a[0], one.image[0], b[0]"),
    "mirrored.png": ("01_faces_and_holes_solutions", "ours = mirror_fill(batch, half)"),
}


def shown(notebook: str, words: str) -> tuple[Image.Image, int]:
    """The image that the cell with these words shows, and the width in CSS pixels it is meant for."""
    book = nbformat.read(DOCS.parent / "notebooks" / f"{notebook}.ipynb", as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code" and words in cell.source]
    if len(cells) != 1:
        raise SystemExit(f"{notebook}: {len(cells)} cells contain {words!r}; one should. Adapt IMAGES.")
    for output in cells[0].outputs:
        for kind in ("image/png", "image/jpeg"):
            if kind in output.get("data", {}):
                image = Image.open(io.BytesIO(base64.b64decode(output.data[kind])))
                return image.convert("RGB"), output.metadata[kind]["width"]
    raise SystemExit(
        f"{notebook}: the cell with {words!r} shows no image. Run course.py sync --execute first."
    )


def save(image: Image.Image, width: int, path: Path) -> int:
    """Write a PNG of 256 colours, at the CSS width if it is too large otherwise; return its bytes."""
    for size in (image.width, width):
        small = image.resize((size, round(image.height * size / image.width)), Image.Resampling.BOX)
        small.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)
        if path.stat().st_size <= LIMIT:
            break
    return path.stat().st_size


def main() -> None:
    (DOCS / "images").mkdir(exist_ok=True)
    for name, (notebook, words) in IMAGES.items():
        size = save(*shown(notebook, words), DOCS / "images" / name)
        print(f"docs/images/{name}: {size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
