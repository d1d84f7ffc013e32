"""Long graphs, and memory: what is freed when, without recursion and without the garbage collector."""

import contextvars
import gc
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Square(minigrad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * grad * x


def plain(x: Any) -> Any:
    return (x * 2).exp()


def view_written_to(x: Any) -> Any:
    y = x * 2
    y.view(2, -1)[0].mul_(3)
    return y


def custom(x: Any) -> Any:
    return Square.apply(x)


def second_order(x: Any) -> Any:
    return minigrad.autograd.grad((x * x * x).sum(), x, create_graph=True)[0]


def hooked(x: Any) -> Any:
    y = x * 2
    y.register_hook(lambda grad: grad * 2)
    y.retain_grad()
    return y


@pytest.mark.parametrize("make", [plain, view_written_to, custom, second_order, hooked])
@pytest.mark.parametrize("passed", [False, True], ids=["forward", "backward"])
def test_dropping_a_result_frees_its_graph_at_once(make: Any, passed: bool) -> None:
    x = minigrad.ones(10, requires_grad=True)
    result = make(x)
    if passed:
        result.sum().backward()
    tensor, node = weakref.ref(result), weakref.ref(result.grad_fn)
    del result
    assert tensor() is None
    assert node() is None


def test_dropping_the_leaf_frees_a_graph_that_went_backward_with_create_graph() -> None:
    x = minigrad.ones(3, requires_grad=True)
    (grad,) = minigrad.autograd.grad((x**3).sum(), x, create_graph=True)
    grad.sum().backward()
    references = [weakref.ref(each) for each in (x, x.grad, grad, grad.grad_fn)]
    del x, grad
    assert [each() for each in references] == [None] * 4


def test_a_chain_of_a_million_nodes() -> None:
    x = minigrad.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    assert y.item() == 1_000_001.0
    node = weakref.ref(y.grad_fn)
    del y
    assert node() is None


def test_a_leaf_used_a_hundred_thousand_times() -> None:
    x = minigrad.tensor(2.0, dtype=minigrad.float64, requires_grad=True)
    y = x * 0
    for _ in range(100_000):
        y = y + x
    y.backward()
    assert x.grad.item() == 100_000.0


def test_backward_needs_next_to_no_memory_beyond_what_forward_kept() -> None:
    x = minigrad.from_numpy(np.ones(100_000, np.float32)).requires_grad_()
    tracemalloc.start()
    try:
        y = x
        for _ in range(200):
            y = y.sin()
        live = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        y.sum().backward()
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 1.05 * live
    assert left <= 0.02 * live


def test_memory_of_repeated_steps_stays_level() -> None:
    w = minigrad.ones(100, 100, requires_grad=True)

    def step() -> None:
        x = minigrad.ones(10, 100)
        for _ in range(5):
            x = (x @ w).tanh()
        x.sum().backward()

    step()
    tracemalloc.start()
    try:
        step()
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            step()
        assert tracemalloc.get_traced_memory()[0] <= first + 20_000
    finally:
        tracemalloc.stop()


def in_threads(work: Any, count: int = 8) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # raised again below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]


@pytest.fixture
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching_often")
def test_threads_add_to_a_shared_leaf() -> None:
    w = minigrad.zeros(3, requires_grad=True)

    def work(number: int) -> None:
        for _ in range(200):
            (w * 2).sum().backward()

    in_threads(work)
    assert w.grad.tolist() == [3200.0] * 3


@pytest.mark.usefixtures("switching_often")
def test_threads_do_not_see_each_others_graphs_and_modes() -> None:
    def work(number: int) -> None:
        for turn in range(100):
            x = minigrad.tensor([float(number), float(turn)], requires_grad=True)
            if number % 2:
                with minigrad.no_grad():
                    assert not (x * 2).requires_grad
            y = (x * x).sum()
            assert y.requires_grad
            x.register_hook(lambda grad: grad + 1)
            y.backward()
            assert x.grad.tolist() == [2.0 * number + 1, 2.0 * turn + 1]

    in_threads(work)


def test_the_collector_may_end_a_generator_under_no_grad_during_a_threads_first_look_at_the_modes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @minigrad.no_grad()
    def suspended() -> Iterator[None]:
        yield
        raise AssertionError("nobody goes on")

    def copy_context() -> contextvars.Context:
        if generators:
            generators.pop().close()  # what the collector would do here
        return contextvars.Context()

    generators = [suspended()]
    next(generators[0])
    monkeypatch.setattr("minigrad._modes.contextvars.copy_context", copy_context)
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.extend([minigrad.is_grad_enabled(), minigrad.ones(1).log() / 0]))
    thread.start()
    thread.join()
    assert not generators
    assert seen[0] is True
    assert np.isnan(seen[1].item())


def test_importing_minigrad_needs_numpy_alone() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import minigrad;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["minigrad"]
