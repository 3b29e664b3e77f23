"""The benchmark of attention compares like with like; no timing is asserted."""

import pytest
import torch

from benchmarks import attention

CPU = torch.device("cpu")
MIB = 2**18  # float32 numbers in a MiB


@pytest.fixture(scope="module")
def given():
    return attention.inputs(2, 16, 25, CPU)


def test_inputs_are_shaped_and_lie_in_memory_as_the_layer_gets_them(given):
    assert [tuple(tensor.shape) for tensor in given] == [(2, 4, 25), (2, 16, 25), (2, 16, 25)]
    query, *features = given
    assert query.mT.is_contiguous() and all(tensor.is_contiguous() for tensor in features)
    assert all(tensor.requires_grad and tensor.is_leaf for tensor in given)


@pytest.mark.parametrize("way", attention.WAYS)
def test_every_way_is_the_formula(way, given):
    query, deep, early = (tensor.detach() for tensor in given)
    outputs = attention.forward(attention.WAYS[way], given)
    for features, output in zip((deep, early), outputs, strict=True):
        for face in range(2):
            for i in range(25):
                alike = torch.stack([(query[face, :, i] * query[face, :, j]).sum() for j in range(25)])
                expected = (alike.softmax(0) * features[face]).sum(1)
                assert torch.allclose(output[face, :, i], expected, atol=1e-5)


@pytest.mark.parametrize("way", attention.WAYS)
def test_gradients_are_those_of_the_whole_difference(way, given):
    gradients = attention.backward(attention.WAYS[way], given)
    query, deep, early = given
    matrix = (query.mT @ query).softmax(2)
    ((deep - early) @ matrix.mT).square().sum().backward()
    for tensor, gradient in zip(given, gradients, strict=True):
        assert torch.allclose(gradient, tensor.grad, rtol=1e-3, atol=1e-4)
        tensor.grad = None


def test_ways_that_disagree_are_not_measured(given):
    attention.check(attention.WAYS, given)
    outputs_differ = lambda q, deep, early: attention.two_products(q, deep, 1.01 * early)  # noqa: E731
    gradients_differ = lambda q, *sets: attention.two_products(q.detach().clone() + 0 * q, *sets)  # noqa: E731
    for wrong in (outputs_differ, gradients_differ):
        with pytest.raises(RuntimeError, match="wrong computes something else"):
            attention.check({**attention.WAYS, "wrong": wrong}, given)


def test_ways_take_turns_warm_up_unmeasured_and_the_fastest_counts():
    calls, clock = [], [0.0]

    def call(name, *spent):
        def run():
            clock[0] += spent[calls.count(name)]
            calls.append(name)

        return run

    ways = {"one": call("one", 1, 9, 5, 7), "other": call("other", 2, 4, 8, 6)}
    assert attention.fastest(ways, 3, lambda: clock[0]) == {"one": 5, "other": 4}
    assert calls == 4 * ["one", "other"]


def test_memory_is_what_is_held_at_one_time():
    def call():
        first = torch.zeros(MIB)
        second = first + 1
        del first
        return torch.cat([second, second])  # 1 + 2 MiB; before it, 1 + 1

    def short():
        for _ in range(10):
            torch.zeros(MIB)

    assert attention.peak(call, CPU) == pytest.approx(3, abs=0.01)
    assert attention.peak(short, CPU) == pytest.approx(1, abs=0.01)


def test_memory_counts_what_waits_for_the_way_back():
    x = torch.ones(MIB, requires_grad=True)

    def chain():
        y = x
        for _ in range(5):
            y = y.exp()  # keeps its output
        return y

    with torch.no_grad():
        assert attention.peak(chain, CPU) == pytest.approx(2, abs=0.01)
    assert attention.peak(chain, CPU) == pytest.approx(5, abs=0.01)


def test_ratios_are_to_the_first_way():
    line = attention.report("forward", {"two products": 8.0, "attend": 6.0, "fused": 12.0}, "ms")
    assert " ".join(line.split()) == (
        "forward two products 8.0 ms (1.000) attend 6.0 ms (0.750) fused 12.0 ms (1.500)"
    )


def test_a_short_run_prints_a_line_for_time_and_one_for_memory(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["attention", "--places", "16", "64", "--channels", "8", "--repeats", "1"]
    )
    threads = torch.get_num_threads()
    try:
        attention.main()
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split("  ")[0] for line in lines[::5]] == ["16 places", "64 places"]
    assert sum("MiB" in line for line in lines) == sum(" ms " in line for line in lines) == 4
