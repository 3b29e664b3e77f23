"""What fit writes, and what it leaves alone: folders of others, other data, other masks."""

from pathlib import Path

import numpy as np
import pytest
import tiny_faces
import tiny_method
from PIL import Image

from facecomp_lib import faces as face_sets
from facecomp_lib import methods
from facecomp_lib.faces.augment import Augment
from facecomp_lib.methods import OptimizerConfig, Stage
from facecomp_lib.training import fit


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def train(faces, tmp_path):
    def run(run_dir=tmp_path / "run", data=faces, method=None, **options):
        options = {"callbacks": (), "num_samples": 0, **options}
        return fit(method or tiny_method.build(), data, run_dir, "smoke", **options)

    return run


def tree(folder):
    return {
        str(path.relative_to(folder)): path.is_symlink() or path.is_dir() or path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


# ---- folders


@pytest.mark.parametrize("name", ["thesis.txt", "lock", "config.json", "log.csv", "src/main.py"])
def test_a_folder_that_is_neither_empty_nor_a_run_is_refused_untouched(train, tmp_path, name):
    (tmp_path / "run" / name).parent.mkdir(parents=True)
    (tmp_path / "run" / name).write_text("mine")
    before = tree(tmp_path / "run")
    with pytest.raises(ValueError, match=r"neither empty nor the folder of a run \(it holds .*fresh run_dir"):
        train()
    assert tree(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["state", "images", "tensorboard", "lock"])
def test_a_link_out_of_the_folder_is_refused(train, tmp_path, name):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "thesis.txt").write_text("mine")
    (docs / "0123456789abcdef.safetensors").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(docs if name != "lock" else docs / "thesis.txt")
    before = tree(docs)
    with pytest.raises(ValueError, match=f"{name} is a link.* remove the link"):
        train()
    assert tree(docs) == before


def test_what_others_leave_in_a_folder_stays_there(train, tmp_path):
    left = {
        ".ipynb_checkpoints/log-checkpoint.csv": "a notebook's",
        ".DS_Store": "a system's",
        "state/notes.txt": "mine",
        "state/keep_step_100.safetensors": "my copy",
    }
    for name, text in left.items():
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(text)
    train(save_every=0.0, until="alone")
    (tmp_path / "run" / "note.md").write_text("mine, later")
    (tmp_path / "run" / "state" / ".ipynb_checkpoints").mkdir()
    train(save_every=0.0)
    assert all((tmp_path / "run" / name).read_text() == text for name, text in left.items())
    assert (tmp_path / "run" / "note.md").read_text() == "mine, later"
    assert (tmp_path / "run" / "state" / ".ipynb_checkpoints").is_dir()


def test_a_link_to_the_folder_of_a_run_is_that_folder(train, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    assert train(until="alone").card == train(tmp_path / "disk", until="alone").card


def test_the_way_on_from_a_finished_run_is_told_and_works(train, tmp_path):
    first = train(until="alone")
    with pytest.raises(ValueError, match=r"fc\.methods\.load\('.*run'\) to fit, with a fresh run_dir"):
        train(seed=1)
    weights = methods.load(first.run_dir)
    assert train(tmp_path / "further", method=weights, seed=1).card["steps"] == 8


# ---- data


def write(folder, seed):
    """Faces of one name, number and size, other ones for another seed."""
    tiny_faces.write(folder, range(10 * seed, 10 * seed + 10), size=tiny_method.SIZE)
    return face_sets.folder(folder)


def test_other_faces_of_the_same_name_and_number_are_another_run(train, tmp_path):
    one, other, same = (
        write(tmp_path / place / "set", seed) for place, seed in (("A", 1), ("B", 2), ("C", 1))
    )
    assert (one.name, len(one), one.size) == (other.name, len(other), other.size)
    first = train(data=one, until="alone")
    with pytest.raises(ValueError, match=r"it differs in data\.version"):
        train(data=other)
    assert train(data=same).card["data"] == first.card["data"]  # a copy elsewhere is the same data


def test_faces_that_are_augmented_in_another_way_are_another_run(train, faces):
    stages = [tiny_method.steady(tiny_method.build().stages("smoke")[0])]
    stages = [Stage("alone", 2, stages[0].optimizers, 4, augment=None)]
    one, other = (faces.with_augmentation(Augment(), seed) for seed in (0, 1))
    train(data=one, stages=stages)
    with pytest.raises(ValueError, match=r"it differs in data\.augmented"):
        train(data=other, stages=stages)


# ---- masks of one's own


def save_masks(folder, shift=0):
    folder.mkdir(exist_ok=True)
    for k in range(3):
        mask = np.zeros((20, 20), np.uint8)
        mask[4 + k + shift : 10 + k + shift, 5:12] = 255  # light is missing
        Image.fromarray(mask).save(folder / f"{k}.png")
    return folder


def test_a_folder_of_masks_is_trained_on_and_belongs_to_the_run(train, tmp_path):
    seen = []

    class Looks(tiny_method.Tiny):
        name = ""

        def forward_train(self, batch, stage):
            seen.append(batch.mask)
            return super().forward_train(batch, stage)

    place = save_masks(tmp_path / "masks")
    optimizers = {"painter": OptimizerConfig(("painter",), {"reconstruction": 1.0})}

    def stages(kind, steps=3):
        return [Stage("alone", steps, optimizers, 4, (kind,))]

    train(method=Looks(), stages=stages(str(place)))
    assert all(0 < float(1 - mask.mean()) < 0.3 for mask in seen)
    train(method=Looks(), stages=stages(str(place)))  # the same again
    train(tmp_path / "path", stages=stages(place))  # a path will do, too
    save_masks(place, shift=2)
    with pytest.raises(ValueError, match=r"it differs in masks\."):
        train(method=Looks(), stages=stages(str(place)))


def test_paths_are_those_of_the_user(train, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = train("~/mine", until="alone")
    assert run.run_dir == tmp_path / "mine" and (tmp_path / "mine" / "card.json").is_file()
    assert not Path("~").exists()
