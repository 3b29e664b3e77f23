"""Checkpoints in eight bits: half the size, hardly another network, and old checkpoints still load."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import facecomp_lib as fc
from facecomp_lib.methods import checkpoints
from facecomp_lib.methods.eight_bit import pack, unpack

NAMES = sorted(path.stem for path in checkpoints.FOLDER.glob("*.json"))


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_by_hand():
    weight = torch.zeros(1024, 32)
    weight[0, :3] = torch.tensor([127.0, -63.6, 0.4])
    stored = pack({"w": weight})
    assert stored["w"].dtype == torch.int8 and stored["w:scale"].shape == (1024,)
    assert stored["w"][0, :3].tolist() == [127, -64, 0] and stored["w:scale"][:2].tolist() == [1, 0]
    assert unpack(stored)["w"][0, :3].tolist() == [127, -64, 0] and unpack(stored)["w"][1:].eq(0).all()


@pytest.mark.parametrize("spread", [1e-3, 1e-2, 10])
def test_no_weight_is_off_by_more_than_half_a_step_of_its_block(spread):
    weight = spread * random(128, 64, 3, 3)
    back = unpack(pack({"w": weight}))["w"]
    assert back.shape == weight.shape and back.dtype == torch.float32
    step = weight.reshape(-1, 32).abs().amax(1, keepdim=True) / 127
    error = (back - weight).reshape(-1, 32).abs()
    assert (error <= 0.6 * step).all()  # float16 rounds the step itself


def test_small_tensors_and_whole_numbers_stay_as_they_are():
    kept = {"bias": random(64), "steps": torch.arange(100_000), "image": random(16, 3, 4, 4).half()}
    stored = pack(kept)
    assert stored.keys() == kept.keys() and all(stored[name] is kept[name] for name in kept)
    assert unpack(stored).keys() == kept.keys()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_weights_that_have_no_eight_bits_are_refused(value):
    weight = random(1024, 32)
    weight[5, 5] = value
    with pytest.raises(ValueError, match="w holds a weight that is not finite or too large"):
        pack({"w": weight})


def test_a_scale_of_another_tensor_is_refused():
    stored = pack({"w": random(1024, 32)})
    with pytest.raises(ValueError, match="w has 32768 weights and 5 scales"):
        unpack(stored | {"w:scale": torch.ones(5)})


def test_a_saved_method_has_half_the_bytes_and_comes_back_nearly_the_same(tmp_path):
    method = fc.methods.build("gfc", size=64, width=0.25, fc_dim=64)
    sizes = {}
    for eight_bit in (False, True):
        path = fc.methods.save(
            method, tmp_path / f"gfc-{eight_bit}", ["generator"], eight_bit=eight_bit, steps=3
        )
        again = checkpoints.load(path)
        sizes[eight_bit] = path.stat().st_size
        assert again.card["steps"] == 3
        for name, weight in again.generator.state_dict().items():
            original = method.generator.state_dict()[name]
            assert (weight.float() - original.float()).norm() <= 0.01 * original.float().norm() + 1e-9, name
    assert sizes[True] < 0.7 * sizes[False]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_checkpoint_loads_and_its_card_belongs_to_it(name):
    method = checkpoints.load(checkpoints.FOLDER / f"{name}.safetensors")
    card = json.loads(Path(checkpoints.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert method.card == card and method.name == card["method"]
    stored = load_file(checkpoints.FOLDER / f"{name}.safetensors")
    networks = {key.split(".")[0] for key in stored}
    assert networks == set(card["networks"])
