"""The weights registry: whole files or none, checked, converted once, and the numbers they are known for."""

import bz2
import dataclasses
import functools
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facecomp_lib import weights
from facecomp_lib.weights import fetch, registry, vgg
from facecomp_lib.weights.arrays import load_array_pickle
from facecomp_lib.weights.cache import WeightCache, tensors_digest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, without a network."""
    monkeypatch.setenv("FACECOMP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    return tmp_path / "cache"


class Toy:
    """A registry of one archive with two members and two upstream files, all tiny, served on this machine."""

    def __init__(self, folder, address):
        self.folder, self.served = folder, folder / "served"
        self.served.mkdir()
        tree = {"k": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
        members = {"toy/plain.dat": b"plain" * 100, "toy/tree.ckpt": pickle.dumps(tree, protocol=3)}
        self.archive = folder / "toy-1.tar.gz"
        with tarfile.open(self.archive, "w:gz") as tar:
            for name, data in {"../../evil": b"!", **members}.items():
                info = tarfile.TarInfo(f"toy-1/{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        (self.served / "up.bin").write_bytes(b"upstream" * 10)
        (self.served / "packed.bin.bz2").write_bytes(bz2.compress(b"packed" * 10))
        archive = registry.Archive("toy", "1", sha256(self.archive.read_bytes()), 1)

        def weight(name, filename, data, source, **rest):
            return registry.Weight(name, filename, "a test", "none", sha256(data), (source,), **rest)

        plain, pickled = (registry.Member(archive, "toy/plain.dat"),
                          registry.Member(archive, "toy/tree.ckpt", load_array_pickle))  # fmt: skip
        up, packed = (registry.Upstream(f"{address}/{name}") for name in ("up.bin", "packed.bin.bz2"))
        self.weights = [
            weight("plain", "plain.dat", members["toy/plain.dat"], plain, size=500),
            weight("tree", "tree.safetensors", members["toy/tree.ckpt"], pickled,
                   tensors_sha256=tensors_digest(tree)),
            weight("up", "up.bin", b"upstream" * 10, up, size=80),
            weight("packed", "packed.bin", b"packed" * 10, packed, size=60),
        ]  # fmt: skip
        self.cache = WeightCache(self.weights)

    def put_by_hand(self, cache):
        (cache / "archives").mkdir(parents=True)
        (cache / "archives" / self.archive.name).write_bytes(self.archive.read_bytes())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def toy(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Toy(tmp_path, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def files_in(folder):
    """All files but the lock, which stays."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def test_an_archive_put_into_the_cache_by_hand_serves_all_its_members_offline(cache, toy):
    toy.put_by_hand(cache)
    assert toy.cache.path("plain").read_bytes() == b"plain" * 100
    from safetensors.numpy import load_file

    assert toy.cache.available("tree")
    np.testing.assert_array_equal(load_file(toy.cache.path("tree"))["k"].ravel(), np.arange(6))
    assert files_in(cache) == ["plain.dat", "toy-1.tar.gz", "tree.safetensors"]
    assert not (cache.parent / "evil").exists() and not (cache.parent.parent / "evil").exists()


def test_a_changed_archive_is_refused_and_leaves_nothing(cache, toy):
    toy.put_by_hand(cache)
    file = cache / "archives" / toy.archive.name
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(FileNotFoundError, match="damaged or has changed"):
        toy.cache.path("plain")
    assert files_in(cache) == ["toy-1.tar.gz"]


def test_a_changed_member_is_refused_and_leaves_nothing(cache, toy):
    toy.put_by_hand(cache)
    other = WeightCache(dataclasses.replace(weight, sha256="0" * 64) for weight in toy.weights)
    with pytest.raises(FileNotFoundError, match="damaged or has changed"):
        other.path("plain")
    assert files_in(cache) == ["toy-1.tar.gz"]


@pytest.mark.parametrize("name", ["plain", "tree"])
def test_a_truncated_cached_file_is_fetched_again(cache, toy, name):
    toy.put_by_hand(cache)
    whole = toy.cache.path(name).read_bytes()
    toy.cache.path(name).write_bytes(whole[:-3])
    assert not toy.cache.available(name)
    assert toy.cache.path(name).read_bytes() == whole


@pytest.mark.parametrize("name", ["plain", "tree"])
def test_a_flipped_bit_in_a_cached_file_is_found_before_it_is_used(cache, toy, name):
    toy.put_by_hand(cache)
    whole = toy.cache.path(name).read_bytes()
    toy.cache.path(name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert toy.cache.path(name).read_bytes() == whole
    toy.cache.path(name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (cache / "archives" / toy.archive.name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}.* is damaged; .*course.py setup"):
        toy.cache.path(name)


@pytest.mark.parametrize("name, content", [("up", b"upstream" * 10), ("packed", b"packed" * 10)])
def test_an_upstream_file_is_fetched_whole_and_unpacked(cache, toy, monkeypatch, name, content):
    with pytest.raises(FileNotFoundError, match="the network may not be asked"):
        toy.cache.path(name)
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    assert toy.cache.path(name).read_bytes() == content
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    assert toy.cache.path(name).read_bytes() == content
    assert files_in(cache) == [f"{name}.bin"]


@pytest.mark.parametrize(
    "served, content, reason",
    [
        ("up.bin", b"upstream" * 9 + b"UPSTREAM", "damaged or has changed"),
        ("up.bin", b"upstream" * 9, "damaged or has changed"),
        ("up.bin", b"upstream" * 11, "longer than the 80 bytes"),
        ("packed.bin.bz2", bz2.compress(b"packed" * 11), "longer than the 60 bytes"),
        ("packed.bin.bz2", bz2.compress(b"packed" * 10)[:-9], "could not be fetched|damaged or has changed"),
        ("packed.bin.bz2", b"<html>not found</html>", "could not be fetched"),
        ("up.bin", None, "404"),
    ],
)
def test_a_server_that_sends_something_else_leaves_nothing(cache, toy, monkeypatch, served, content, reason):
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    (toy.served / served).unlink()
    if content is not None:
        (toy.served / served).write_bytes(content)
    name = served.partition(".")[0]
    with pytest.raises(FileNotFoundError, match=reason):
        toy.cache.path(name)
    assert not toy.cache.available(name) and files_in(cache) == []


def test_a_server_that_never_ends_is_left_after_a_time(cache, toy, tmp_path):
    address = toy.weights[2].sources[0].url
    with pytest.raises(fetch.FetchError, match="up.bin arrives too slowly"):
        fetch.download(address, tmp_path / "new", "0" * 64, 80, seconds=0)


@pytest.mark.parametrize("name", ["plain", "tree", "up", "packed"])
def test_a_file_put_into_the_cache_by_hand_is_checked_like_any_other(cache, toy, name):
    """An error page, as a browser may save it; and one that is as long as the right file."""
    file = cache / toy.cache.registry[name].filename
    cache.mkdir()
    for content in (b"<html>404</html>", b"<html>404</html>".ljust(toy.cache.registry[name].size or 90)):
        file.write_bytes(content)
        with pytest.raises(FileNotFoundError, match=f"{file.name} is damaged"):
            toy.cache.path(name)
    right = {"plain": b"plain" * 100, "up": b"upstream" * 10, "packed": b"packed" * 10}
    if name in right:
        file.write_bytes(right[name])
        assert toy.cache.path(name) == file


def test_a_file_that_changes_while_a_process_runs_is_checked_again(cache, toy):
    toy.put_by_hand(cache)
    file = toy.cache.path("plain")
    (cache / "archives" / toy.archive.name).unlink()
    file.write_bytes(b"PLAIN" * 100)
    with pytest.raises(FileNotFoundError, match="plain.dat is damaged"):
        toy.cache.path("plain")


def test_what_a_killed_download_left_is_removed_by_the_next(cache, toy, monkeypatch):
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    (cache / "unfinished").mkdir(parents=True)
    (cache / "unfinished" / "tmp123").write_bytes(b"half")
    toy.cache.path("up")
    assert files_in(cache) == ["up.bin"]


def test_two_that_need_the_same_file_fetch_it_once(cache, toy, monkeypatch):
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(toy.cache.path, ["up"] * 8))
    assert {file.read_bytes() for file in found} == {b"upstream" * 10}


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
def test_cached_files_are_as_readable_as_any_other(cache, toy, monkeypatch):
    monkeypatch.setenv("FACECOMP_OFFLINE", "0")
    toy.put_by_hand(cache)
    (cache / "plain").write_bytes(b"")
    modes = {toy.cache.path(name).stat().st_mode for name in ("plain", "tree", "up", "packed")}
    assert modes == {(cache / "plain").stat().st_mode}


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
    script = Path(__file__).resolve().parents[2] / "data_scripts" / "fetch_weights.py"
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
        assert re.fullmatch(r"[0-9a-f]{64}", weight.sha256)
        for source in weight.sources:
            if isinstance(source, registry.Upstream):
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
        load_array_pickle(pickle.dumps(payload, protocol=2))
    assert not called


@pytest.mark.parametrize("protocol", [3, 4])
def test_pickled_arrays_in_containers_come_back(protocol):
    tree = {"a": [np.float32([[1, 2], [3, 4]]), 3], "b": (np.arange(3),)}
    back = load_array_pickle(pickle.dumps(tree, protocol=protocol))
    np.testing.assert_array_equal(back["a"][0], tree["a"][0])
    np.testing.assert_array_equal(back["b"][0], tree["b"][0])


def run_with_torchvision(source, tmp_path):
    """Run `ensure_torchvision` in a process whose torchvision is ``source``; its lines of output."""
    (tmp_path / "torchvision.py").write_text(source)
    program = (
        "import sys; from facecomp_lib.weights.torchvision_fix import ensure_torchvision; "
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
    from facecomp_lib.weights.torchvision_fix import ensure_torchvision

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


def test_upstream_vgg_files_are_read_by_torchvisions_names(tmp_path):
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
    torch.save(state, tmp_path / "vgg19.pth")
    features = vgg.vgg_layers((2, 2, 4, 4, 4), vgg.torchvision_features(tmp_path / "vgg19.pth"))
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
