"""The weights registry: whole files or none, checked, converted once, and the numbers they are known for."""

import dataclasses
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facecomp_lib import _fetch, _registry, weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, without a network."""
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def toy(cache, tmp_path, monkeypatch):
    """A registry of one archive with two members and one upstream file, all tiny and on this disk."""
    tree = {"k": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
    members = {"toy/plain.dat": b"plain" * 100, "toy/tree.ckpt": pickle.dumps(tree, protocol=3)}
    file = tmp_path / "toy-1.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name, data in (
            {"toy-1/../../evil": b"!"} | {f"toy-1/{k}": v for k, v in members.items()}
        ).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    upstream = tmp_path / "up.bin"
    upstream.write_bytes(b"upstream" * 10)
    sha = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    archive = _registry.Archive("toy", "1", hashlib.sha256(file.read_bytes()).hexdigest(), 1)
    registry = (
        _registry.Weight(
            "plain",
            "plain.dat",
            "a test",
            "none",
            sha["toy/plain.dat"],
            (_registry.Member(archive, "toy/plain.dat"),),
            500,
        ),
        _registry.Weight(
            "tree",
            "tree.safetensors",
            "a test",
            "none",
            sha["toy/tree.ckpt"],
            (_registry.Member(archive, "toy/tree.ckpt", _fetch.load_array_pickle),),
        ),
        _registry.Weight(
            "up",
            "up.bin",
            "a test",
            "none",
            hashlib.sha256(upstream.read_bytes()).hexdigest()[:8],
            (_registry.Upstream(upstream.as_uri()),),
        ),
    )
    monkeypatch.setattr(weights, "REGISTRY", {weight.name: weight for weight in registry})
    return file


def put_by_hand(cache, file):
    (cache / "archives").mkdir(parents=True)
    (cache / "archives" / file.name).write_bytes(file.read_bytes())


def files_in(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_an_archive_put_into_the_cache_by_hand_serves_all_its_members_offline(cache, toy):
    put_by_hand(cache, toy)
    assert weights.path("plain").read_bytes() == b"plain" * 100
    from safetensors.numpy import load_file

    assert weights.available("tree")
    np.testing.assert_array_equal(load_file(weights.path("tree"))["k"].ravel(), np.arange(6))
    assert files_in(cache) == ["plain.dat", "toy-1.tar.gz", "tree.safetensors"]
    assert not (cache.parent / "evil").exists() and not (cache.parent.parent / "evil").exists()


def test_a_changed_archive_is_refused_and_leaves_nothing(cache, toy):
    put_by_hand(cache, toy)
    file = cache / "archives" / toy.name
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(FileNotFoundError, match="damaged or has changed"):
        weights.path("plain")
    assert files_in(cache) == ["toy-1.tar.gz"]


def test_a_changed_member_is_refused_and_leaves_nothing(cache, toy, monkeypatch):
    put_by_hand(cache, toy)
    other = {name: dataclasses.replace(weight, sha256="0" * 64) for name, weight in weights.REGISTRY.items()}
    monkeypatch.setattr(weights, "REGISTRY", other)
    with pytest.raises(FileNotFoundError, match="damaged or has changed"):
        weights.path("plain")
    assert files_in(cache) == ["toy-1.tar.gz"]


def test_a_truncated_cached_file_is_fetched_again(cache, toy):
    put_by_hand(cache, toy)
    for name in ("plain", "tree"):
        whole = weights.path(name).read_bytes()
        weights.path(name).write_bytes(whole[:-3])
        assert not weights.available(name)
        assert weights.path(name).read_bytes() == whole


def test_an_upstream_file_is_fetched_whole(cache, toy, monkeypatch):
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    assert weights.path("up").read_bytes() == b"upstream" * 10


def test_a_truncated_download_leaves_no_file_behind(cache, toy, tmp_path, monkeypatch):
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    (tmp_path / "up.bin").write_bytes(b"upstream" * 9)
    with pytest.raises(FileNotFoundError, match="damaged or has changed"):
        weights.path("up")
    assert not weights.available("up") and files_in(cache) == []


def test_an_interrupted_copy_leaves_no_file_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt), _fetch.new_file(tmp_path / "w.dat") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert files_in(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
def test_a_new_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain.dat").write_bytes(b"")
    with _fetch.new_file(tmp_path / "w.dat") as file:
        file.write(b"whole")
    assert (tmp_path / "w.dat").stat().st_mode == (tmp_path / "plain.dat").stat().st_mode


def test_bz2_files_are_unpacked_on_the_way_and_a_broken_one_is_refused(tmp_path):
    import bz2

    data = os.urandom(1000)
    packed = tmp_path / "w.dat.bz2"
    packed.write_bytes(bz2.compress(data))
    _fetch.download(packed.as_uri(), tmp_path / "w.dat", hashlib.sha256(data).hexdigest())
    assert (tmp_path / "w.dat").read_bytes() == data
    packed.write_bytes(bz2.compress(data)[:-50])
    with pytest.raises(_fetch.FetchError, match="could not be fetched"):
        _fetch.download(packed.as_uri(), tmp_path / "other.dat", hashlib.sha256(data).hexdigest())
    assert not (tmp_path / "other.dat").exists()


@pytest.mark.parametrize("name", sorted(weights.REGISTRY))
def test_missing_weights_offline_say_in_one_line_what_to_do(cache, name):
    with pytest.raises(FileNotFoundError) as caught:
        weights.path(name)
    text = str(caught.value)
    assert name in text and "course.py setup" in text and str(cache) in text and "\n" not in text
    assert weights.REGISTRY[name].filename in text or ".tar.gz" in text


def test_setup_offline_returns_what_is_missing_instead_of_raising(cache):
    said = []
    missing = weights.setup_weights(said.append)
    assert missing == ["lpips_alex", "lpips_vgg", "dlib_landmarks", "dlib_embedding", "dlib_detector"]
    assert any("archives" in line for line in said)


def fetch_command(*arguments):
    script = Path(__file__).resolve().parents[1] / "data_scripts" / "fetch_weights.py"
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True)


def test_the_fetching_command_lists_licences_and_fails_in_a_sentence(cache):
    listed = fetch_command("--list").stdout
    for weight in weights.REGISTRY.values():
        assert weight.name in listed and weight.licence in listed
    failed = fetch_command("vgg19")
    assert failed.returncode == 1 and "vgg19" in failed.stderr and "Traceback" not in failed.stderr
    assert fetch_command().returncode == 1, "nothing could be fetched"


def test_unknown_weights_name_the_known_ones():
    with pytest.raises(ValueError, match="lpips_alex"):
        weights.path("resnet")
    with pytest.raises(ValueError, match="'alex' or net='vgg'"):
        weights.lpips_model("squeeze")


def test_every_entry_says_what_it_is_for_and_under_which_licence():
    for weight in weights.REGISTRY.values():
        assert weight.purpose and weight.licence and weight.sources
        assert re.fullmatch(r"[0-9a-f]{8,64}", weight.sha256)
        for source in weight.sources:
            if isinstance(source, _registry.Upstream):
                assert source.url.startswith("https://")
    assert len({weight.filename for weight in weights.REGISTRY.values()}) == len(weights.REGISTRY)


class Bomb:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


@pytest.mark.parametrize(
    "payload",
    [Bomb(), {"a": [Bomb()]}, np.array([Bomb()], dtype=object), np.random.rand],
    ids=["call", "nested", "object array", "function"],
)
def test_a_pickle_that_holds_more_than_arrays_is_refused(payload, monkeypatch):
    called = []
    monkeypatch.setattr(os, "system", called.append)
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        _fetch.load_array_pickle(pickle.dumps(payload, protocol=2))
    assert not called


@pytest.mark.parametrize("protocol", [3, 4])
def test_pickled_arrays_in_containers_come_back(protocol):
    tree = {"a": [np.float32([[1, 2], [3, 4]]), 3], "b": (np.arange(3),)}
    back = _fetch.load_array_pickle(pickle.dumps(tree, protocol=protocol))
    np.testing.assert_array_equal(back["a"][0], tree["a"][0])
    np.testing.assert_array_equal(back["b"][0], tree["b"][0])


def run_with_torchvision(source, tmp_path):
    """Run `ensure_torchvision` in a process whose torchvision is ``source``; its lines of output."""
    (tmp_path / "torchvision.py").write_text(source)
    program = (
        "import sys; from facecomp_lib._torchvision import ensure_torchvision; "
        "print(ensure_torchvision(), 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])},
    )
    return (result.stdout + result.stderr).split("\n")


def test_a_healthy_torchvision_is_left_alone(tmp_path):
    assert run_with_torchvision("", tmp_path)[0] == "False False"


def test_only_the_missing_operator_failure_is_repaired(tmp_path):
    assert "RuntimeError: no such file" in run_with_torchvision(
        "raise RuntimeError('no such file')", tmp_path
    )


def test_torchvision_imports_here():
    from facecomp_lib._torchvision import ensure_torchvision

    ensure_torchvision()
    assert ensure_torchvision() is False, "once repaired it stays so"
    import torchvision

    assert torchvision.models.alexnet


# ----------------------------------------------------------------------------- with the weights themselves


def needs(*names):
    absent = [name for name in names if not weights.available(name)]
    return pytest.mark.skipif(
        bool(absent),
        reason=f"weights {absent} are not in {weights.cache_dir()}; 'python3 course.py setup' brings them",
    )


def noise(seed, size=64):
    return torch.from_numpy(np.random.default_rng(seed).random((1, 3, size, size), dtype=np.float32))


def astronaut(size=256):
    from skimage.data import astronaut as image

    image = torch.from_numpy(image()).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(image, size=(size, size), mode="area")


def lpips_by_formula(a, b, file, slices):
    """Equation 1 of Zhang et al. 2018: unit-normalised features, squared differences, 1x1 heads."""
    from safetensors.torch import load_file

    w = load_file(file)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    total, x, y = 0, (2 * a - 1 - shift) / scale, (2 * b - 1 - shift) / scale
    for k, steps in enumerate(slices):
        for step in steps:
            if step[0] == "pool":
                x, y = F.max_pool2d(x, step[1], 2), F.max_pool2d(y, step[1], 2)
            else:
                index, stride, padding = step
                weight, bias = w[f"net.slice{k + 1}.{index}.weight"], w[f"net.slice{k + 1}.{index}.bias"]
                x, y = (F.relu(F.conv2d(v, weight, bias, stride, padding)) for v in (x, y))
        difference = (x / x.norm(dim=1, keepdim=True) - y / y.norm(dim=1, keepdim=True)).nan_to_num() ** 2
        total = total + (difference * w[f"lin{k}.model.1.weight"]).sum(1).mean((1, 2))
    return total.item()


ALEX = [[(0, 4, 2)], [("pool", 3), (3, 1, 2)], [("pool", 3), (6, 1, 1)], [(8, 1, 1)], [(10, 1, 1)]]
VGG = [
    [(0, 1, 1), (2, 1, 1)],
    [("pool", 2), (5, 1, 1), (7, 1, 1)],
    [("pool", 2), (10, 1, 1), (12, 1, 1), (14, 1, 1)],
    [("pool", 2), (17, 1, 1), (19, 1, 1), (21, 1, 1)],
    [("pool", 2), (24, 1, 1), (26, 1, 1), (28, 1, 1)],
]


@needs("lpips_alex", "lpips_vgg")
@pytest.mark.parametrize(("net", "slices"), [("alex", ALEX), ("vgg", VGG)])
def test_lpips_agrees_with_its_formula(net, slices):
    a, b = astronaut(96), astronaut(96).flip(-1)
    measured = weights.lpips_model(net)(a, b, normalize=True).item()
    assert measured == pytest.approx(lpips_by_formula(a, b, weights.path(f"lpips_{net}"), slices), rel=1e-4)


# Measured once with the `lpips` package 0.1.4 on torch 2.13 (CPU): the astronaut at 256 px against a copy.
RECORDED = {
    "mirrored": {"alex": 0.63630, "vgg": 0.69468},
    "four times coarser": {"alex": 0.39477, "vgg": 0.45494},
    "darker": {"alex": 0.01952, "vgg": 0.01671},
}


@needs("lpips_alex", "lpips_vgg")
@pytest.mark.parametrize("change", sorted(RECORDED))
def test_lpips_gives_the_recorded_distances(change):
    image = astronaut()
    coarse = F.interpolate(
        F.interpolate(image, scale_factor=1 / 4, mode="area"), size=(256, 256), mode="nearest"
    )
    changed = {"mirrored": image.flip(-1), "four times coarser": coarse, "darker": image * 0.8}[change]
    for net, expected in RECORDED[change].items():
        assert weights.lpips_model(net)(image, changed, normalize=True).item() == pytest.approx(
            expected, abs=1e-3
        )


@needs("lpips_vgg")
def test_vgg16_features_are_frozen_and_agree_with_lpips_own_trunk():
    features = weights.vgg16_features()
    assert len(features) == 31 and not any(p.requires_grad for p in features.parameters())
    image = noise(0)
    torch.testing.assert_close(features[:30](image), weights.lpips_model("vgg").net(image).relu5_3)


def test_upstream_vgg_files_are_read_by_torchvisions_names(cache, monkeypatch):
    """A stand-in for torchvision's VGG-19 file with its names and shapes, saved as PyTorch saves it."""
    widths = [
        3,
        *(w for w, n in zip((64, 128, 256, 512, 512), (2, 2, 4, 4, 4), strict=True) for _ in range(n)),
    ]
    indices = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    state = {"classifier.0.weight": torch.zeros(1)}
    for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        state[f"features.{indices[i]}.weight"] = (
            torch.full((1, 1, 1, 1), 0.01).expand(after, before, 3, 3).contiguous()
        )
        state[f"features.{indices[i]}.bias"] = torch.zeros(after)
    cache.mkdir()
    torch.save(state, cache / weights.REGISTRY["vgg19"].filename)
    features = weights.vgg19_features()
    assert len(features) == 37 and features(noise(0, 32)).shape == (1, 512, 1, 1)


@needs("lpips_alex", "lpips_vgg")
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_heads_are_those_of_the_lpips_package(net):
    model = weights.lpips_model(net)
    import lpips

    own = torch.load(
        os.path.join(os.path.dirname(lpips.__file__), "weights", "v0.1", f"{net}.pth"),
        map_location="cpu",
        weights_only=True,
    )
    for name, value in own.items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=0)
