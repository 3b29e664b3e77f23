"""Measure a set of faces and write the figures into docs/data_card.md.

    python -m data_scripts.measure_faces                    # the embedded faces; prints and updates the card
    python -m data_scripts.measure_faces --data FOLDER      # a prepared folder; prints only

Measured are: the balance of attributes, ages, skin tones and poses; whether dlib's face embedding, which was
trained on photographs, tells the people apart; and how well the mirror flow agrees with itself (follow it to
the mirror point and back). What a data set lacks is left out. Text between `<!-- measured: x -->` and
`<!-- end: x -->` belongs to this script, the rest of the card to people.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import facecomp_lib as fc

ROOT = Path(__file__).resolve().parents[1]
CARD = ROOT / "docs" / "data_card.md"
IMAGES = ROOT / "docs" / "images"
PACK = ROOT / "facecomp_lib" / "faces" / "pack"
THRESHOLD = 0.6  # of dlib's embedding: nearer means the same person
YAW_EDGES = (0, 10, 20, 30, 90)
# Individual typology angle, the dermatologists' scale from light to dark (Chardon 1991), in degrees.
TYPOLOGY = (
    ("very light", 55),
    ("light", 41),
    ("intermediate", 28),
    ("tan", 10),
    ("brown", -30),
    ("dark", -91),
)

Figures = NDArray[np.float64]


# ---- figures: pure functions ---------------------------------------------------------------------------


def pair_distances(embeddings: Figures, identities: NDArray[np.integer]) -> tuple[Figures, Figures]:
    """Euclidean distances of all pairs of images: of the same person, and of different people.

    Args:
        embeddings: [N, D]; identities: [N].
    """
    first, second = np.triu_indices(len(embeddings), k=1)
    distance = np.linalg.norm(embeddings[first] - embeddings[second], axis=1)
    same = identities[first] == identities[second]
    return distance[same], distance[~same]


def auc(same: Figures, different: Figures) -> float:
    """Probability that a pair of one person is nearer than a pair of two; ties count half."""
    ordered = np.sort(different)
    farther = len(ordered) - (np.searchsorted(ordered, same) + np.searchsorted(ordered, same, "right")) / 2
    return float(farther.mean() / len(ordered))


def balanced_accuracy(same: Figures, different: Figures, threshold: float) -> float:
    """Mean of the shares of same pairs below and of different pairs above the threshold."""
    return float(((same < threshold).mean() + (different >= threshold).mean()) / 2)


def best_threshold(same: Figures, different: Figures) -> float:
    """The distance, in steps of 0.01, that separates the pairs best."""
    steps = np.arange(0.2, 1.2, 0.01)
    return float(steps[np.argmax([balanced_accuracy(same, different, step) for step in steps])])


def round_trip(flow: Tensor, valid: Tensor) -> Tensor:
    """How far, in pixels, the mirror flow of a pixel's mirror point misses that pixel; NaN where unknown.

    Args:
        flow: [B, H, W, 2], absolute positions in the flipped image, in [-1, 1]; valid: bool [B, H, W].

    Returns:
        [B, H, W]. The flow goes to the flipped image; unflipped, the mirror point lies at -x. Where all four
        pixels around it are valid, its own flow should lead to the flipped image's view of the first pixel.
    """
    height, width = flow.shape[1:3]
    there = flow * flow.new_tensor([-1, 1])
    back = functional.grid_sample(flow.permute(0, 3, 1, 2), there, align_corners=True).permute(0, 2, 3, 1)
    surely = functional.grid_sample(valid[:, None].to(flow), there, align_corners=True)[:, 0] > 0.999
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    start = torch.stack([-x, y], dim=-1).to(flow)
    pixels = (back - start) * flow.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return torch.where(valid & surely, pixels.norm(dim=-1), torch.nan)


def landmark_miss(flow: Tensor, valid: Tensor, landmarks: Tensor) -> Tensor:
    """How far, in pixels, the mirror flow at a landmark misses that landmark's partner; NaN where unknown.

    A check beside the round trip, which a flow that stays where it is would pass.

    Args:
        flow: [B, H, W, 2]; valid: bool [B, H, W]; landmarks: [B, 68, 2] px.

    Returns:
        [B, 51]: brows, nose, eyes and mouth. (The jaw's points need not be visible.)
    """
    height, width = flow.shape[1:3]
    half = flow.new_tensor([(width - 1) / 2, (height - 1) / 2])
    partner = landmarks[:, torch.as_tensor(fc.faces.LANDMARK_MIRROR)]
    wanted = (partner * landmarks.new_tensor([-1, 1]) + landmarks.new_tensor([width - 1, 0]))[:, 17:]
    at = (landmarks[:, 17:] / half - 1)[:, None]
    found = functional.grid_sample(flow.permute(0, 3, 1, 2), at, align_corners=True)[:, :, 0].mT
    surely = functional.grid_sample(valid[:, None].to(flow), at, align_corners=True)[:, 0, 0] > 0.999
    return torch.where(surely, ((found + 1) * half - wanted).norm(dim=-1), torch.nan)


def typology_angle(rgb: Figures) -> Figures:
    """Individual typology angle in degrees of sRGB colours [N, 3] in [0, 1]; see TYPOLOGY."""
    from skimage.color import rgb2lab

    lightness, _, yellow = np.moveaxis(rgb2lab(rgb.reshape(-1, 1, 3))[:, 0], -1, 0)
    return np.degrees(np.arctan2(lightness - 50, yellow))


def typology_shares(angles: Figures) -> dict[str, float]:
    """Share of each class of TYPOLOGY."""
    upper, shares = np.inf, {}
    for name, lower in TYPOLOGY:
        shares[name] = float(((angles > lower) & (angles <= upper)).mean())
        upper = lower
    return shares


def skin_colours(images: Tensor, parsing: Tensor) -> Figures:
    """Median colour [B, 3] over face skin and nose; NaN where a face shows none."""
    skin = (parsing == fc.faces.PARSING.index("face skin")) | (parsing == fc.faces.PARSING.index("nose"))
    colours = torch.where(skin[:, None], images, torch.nan).flatten(2)
    return colours.nanmedian(dim=2).values.double().numpy()


# ---- markdown ----------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table, first column left, others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def replace_section(text: str, name: str, content: str) -> str:
    """The card with other content between the markers of `name`; ValueError if they are missing."""
    pattern = re.compile(
        f"(<!-- measured: {re.escape(name)} -->\n).*?(<!-- end: {re.escape(name)} -->)", re.S
    )
    if not pattern.search(text):
        raise ValueError(
            f"The card lacks `<!-- measured: {name} -->` ... `<!-- end: {name} -->`: add both lines."
        )
    return pattern.sub(lambda match: f"{match[1]}\n{content}\n\n{match[2]}", text, count=1)


def pixels(images: Tensor) -> NDArray[np.uint8]:
    """Images [B, 3, H, W] in [0, 1] as uint8 [B, H, W, 3]."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# ---- measuring a data set ------------------------------------------------------------------------------


def batches(data, count: int = 64):
    return (data[start : start + count] for start in range(0, len(data), count))


def describe(splits: Sequence) -> str:
    """Version, size, and the numbers of images and people of each split."""
    bytes_ = sum(file.stat().st_size for file in PACK.iterdir())
    title = f"Pack {splits[0].version}, {splits[0].size} pixels, {bytes_ / 1e6:.1f} MB on disk:"
    rows = [
        [data.split, f"{len(data):,}", f"{len(set(data.column('identity').tolist())):,}"] for data in splits
    ]
    return f"{title}\n\n{table(['split', 'images', 'people'], rows)}"


def measure_balance(data) -> str:
    """Attributes, skin tones, ages and poses of one data set."""
    parts = []
    if data.attribute_names:
        shares = {name: data.column(name).mean() for name in data.attribute_names}
        parts.append(
            table(["attribute", "share"], [[k.replace("_", " "), percent(v)] for k, v in shares.items()])
        )
    sample = data.batch([0])
    if sample.parsing is not None:
        colours = np.concatenate([skin_colours(b.image, b.parsing) for b in batches(data)])
        shares = typology_shares(typology_angle(colours[~np.isnan(colours).any(1)]))
        rows = [[name, percent(share)] for name, share in shares.items()]
        parts.append(table(["skin as pictured (typology angle)", "share"], rows))
    for name in data.meta.get("scalars", ()):
        low, quarter, middle, three, high = np.percentile(data.column(name), [0, 25, 50, 75, 100])
        parts.append(
            f"{name}: {low:.2f} to {high:.2f}, middle half {quarter:.2f} to {three:.2f}, median {middle:.2f}"
        )
    if sample.pose is not None:
        rows = []
        for axis, name in enumerate(("yaw", "pitch", "roll")):
            angle = data.column("pose")[:, axis]
            shown = [f"{angle.mean():+.1f}", f"{angle.std():.1f}", f"{np.abs(angle).max():.0f}"]
            rows.append([name, *shown, percent((np.abs(angle) > 30).mean())])
        parts.append(table(["pose, degrees", "mean", "spread", "largest", "beyond 30"], rows))
    return "\n\n".join(parts)


def measure_identity(data) -> str:
    """Does dlib's embedding tell the people apart?"""
    from facecomp_lib.faces.landmarks import identity_embedding

    embeddings = np.stack(
        [identity_embedding(pixels(face.image)[0], face.landmarks[0].numpy()) for face in data]
    ).astype(np.float64)
    identities = data.column("identity")
    same, different = pair_distances(embeddings, identities)
    if not len(same):
        return "No two images of one person: nothing to compare."
    best = best_threshold(same, different)
    rows = [
        ["people, images", f"{len(np.unique(identities))}, {len(identities)}"],
        ["pairs of one person, of two people", f"{len(same)}, {len(different)}"],
        ["distance, same person (mean ± spread)", f"{same.mean():.2f} ± {same.std():.2f}"],
        ["distance, different people", f"{different.mean():.2f} ± {different.std():.2f}"],
        ["area under the ROC curve", f"{auc(same, different):.3f}"],
        [f"balanced accuracy at {THRESHOLD}", f"{balanced_accuracy(same, different, THRESHOLD):.3f}"],
        [
            f"balanced accuracy at the best threshold, {best:.2f}",
            f"{balanced_accuracy(same, different, best):.3f}",
        ],
    ]
    return table(["dlib's 128-D embedding", data.split or "all"], rows)


def measure_flow(data) -> str:
    """Round trip of the mirror flow, and its agreement with the landmarks, by |yaw|."""
    found: dict[str, list[Tensor]] = {name: [] for name in ("trip", "miss", "valid", "yaw")}
    for batch in batches(data):
        found["trip"].append(round_trip(batch.mirror_flow, batch.mirror_valid).flatten(1))
        found["miss"].append(landmark_miss(batch.mirror_flow, batch.mirror_valid, batch.landmarks))
        face = (batch.parsing > 0) & (batch.parsing < fc.faces.PARSING.index("hair"))
        found["valid"].append(torch.where(face, batch.mirror_valid.float(), torch.nan).flatten(1).nanmean(1))
        found["yaw"].append(batch.pose[:, 0].abs())
    trip, miss, valid, yaw = (torch.cat(values) for values in found.values())
    rows = []
    for low, high in [*zip(YAW_EDGES[:-1], YAW_EDGES[1:], strict=True), (0, 30)]:
        chosen = (yaw >= low) & (yaw < high)
        if chosen.any():
            name = f"{low} to {high}" if high < 90 else f"beyond {low}"
            share = percent(valid[chosen].nanmean().item())
            rows.append([name, str(int(chosen.sum())), share, *spread(trip[chosen]), spread(miss[chosen])[0]])
    header = ["absolute yaw, degrees", "images", "valid pixels of the face"]
    return table([*header, "round trip, median px", "95 %", "at landmarks, median px"], rows)


def spread(values: Tensor) -> list[str]:
    """Median and 95th percentile of the known values, as text."""
    known = values[~values.isnan()].numpy()
    return [f"{np.percentile(known, share):.2f}" if len(known) else "-" for share in (50, 95)]


def measure(data, identities: bool = True) -> dict[str, str]:
    """All sections that the data set has labels for, as markdown."""
    first = data.batch([0])
    sections = {"balance": measure_balance(data)}
    if identities and first.identity is not None and first.landmarks is not None:
        sections["identity"] = measure_identity(data)
    if all(label is not None for label in (first.mirror_flow, first.pose, first.parsing, first.landmarks)):
        sections["mirror flow"] = measure_flow(data)
    return sections


# ---- images ----------------------------------------------------------------------------------------


def mosaic(images: Tensor, columns: int) -> NDArray[np.uint8]:
    """Images [B, 3, H, W] in rows of `columns`, uint8 [rows*H, columns*W, 3]; empty places are white."""
    faces = pixels(images)
    count, height, width, _ = faces.shape
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[:count] = faces
    return (
        sheet.reshape(rows, columns, height, width, 3)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width, 3)
    )


def one_each(identities: NDArray[np.integer], count: int) -> list[int]:
    """Indices of the first image of `count` people."""
    _, first = np.unique(identities, return_index=True)
    return sorted(first.tolist())[:count]


def several_each(identities: NDArray[np.integer], people: int, images: int) -> list[int]:
    """Indices of `images` images each of the first people that have as many, person by person."""
    chosen: list[int] = []
    for person in dict.fromkeys(identities.tolist()):
        own = np.flatnonzero(identities == person)
        if len(own) >= images and len(chosen) < people * images:
            chosen += own[:images].tolist()
    return chosen


def write_sheets(train, test) -> None:
    """docs/images: 40 people of the training split; four test people, five images each."""
    from PIL import Image

    IMAGES.mkdir(parents=True, exist_ok=True)
    people = train.batch(one_each(train.column("identity"), 40)).image
    Image.fromarray(mosaic(people, 8)).save(IMAGES / "faces.jpg", quality=88)
    same = test.batch(several_each(test.column("identity"), 5, 4)).image
    Image.fromarray(mosaic(same, 4)).save(IMAGES / "same_people.jpg", quality=88)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a prepared folder; by default the embedded faces")
    parser.add_argument(
        "--split", choices=("train", "val", "test"), help="of the folder; by default all faces"
    )
    parser.add_argument("--no-identities", action="store_true", help="leave out dlib's embedding")
    args = parser.parse_args()
    if args.data:
        data = fc.faces.folder(args.data, args.split)
        for name, content in measure(data, not args.no_identities).items():
            print(f"## {name}\n\n{content}\n")
        return
    train, val, test = (fc.faces.embedded(split) for split in ("train", "val", "test"))
    sections = {"pack": describe([train, val, test])} | measure(test, not args.no_identities)
    sections["balance"] = measure_balance(train)
    text = CARD.read_text(encoding="utf-8")
    for name, content in sections.items():
        print(f"## {name}\n\n{content}\n")
        text = replace_section(text, name, content)
    write_sheets(train, test)
    CARD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
