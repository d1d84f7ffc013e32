"""Programs: written forms that lose nothing, a decoder that knows no invalid bytes, the same programs for a seed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import engines, execute, generate
from conformance.decoder import Decoder
from conformance.memory import remembered
from conformance.program import (
    Apply,
    Array,
    Backward,
    Grad,
    Hook,
    Inplace,
    Leaf,
    Program,
    Ref,
    Special,
    array,
    canonical,
    defects,
    from_json,
    to_json,
    to_numpy,
)
from conformance.script import script
from conformance.vocabulary import OPERATIONS
from conformance.vocabulary.operation import WIDE

replace = msgspec.structs.replace

ALL = tuple(OPERATIONS.values())
TORCH = engines.load("torch")
MINIGRAD = engines.load("minigrad")
SHAPES = execute.Shapes(TORCH)

targets = st.one_of(
    st.just(generate.Target("free")),
    st.builds(
        generate.Target,
        st.just("cell"),
        st.sampled_from(list(OPERATIONS)),
        st.sampled_from(list(generate.FEATURES)),
    ),
    st.builds(
        generate.Target,
        st.just("pair"),
        st.sampled_from(generate.paired(ALL)),
        seconds=st.tuples(*(st.sampled_from(generate.paired(ALL)) for _ in range(generate.FAN))),
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.binary(min_size=generate.SIZE, max_size=generate.SIZE), targets)
def test_any_bytes_are_a_valid_program_that_the_reference_runs(data: bytes, target: generate.Target) -> None:
    program, _ = generate.decode(data, target, SHAPES, ALL)
    assert defects(program) == []
    assert from_json(to_json(program)) == program
    with execute.quiet():
        seen = execute.run(TORCH, program)
    assert seen.unsupported is None
    assert seen.failure is None or generate.may_refuse(target, program, seen.failure)


def test_a_part_of_a_gradient_without_memory_is_read_as_zeros() -> None:
    leaves = (Leaf(0, array(np.ones((2, 3))), True), Leaf(1, array(np.ones(3)), True))
    scattered = Apply("select_scatter", (Ref(0), Ref(1), 0, 1), (2,))
    backward = Backward((3,), (array(np.full((2, 3), 1.5)),))
    seen = execute.run(TORCH, Program(leaves, (scattered, Apply("sgn", (Ref(2),), (3,)), backward)))
    assert seen.failure is None
    for leaf in leaves:  # torch itself reads wild memory here
        assert np.array_equal(seen.grads[leaf.id], np.zeros(leaf.array.shape))


def test_a_free_program_may_compute_with_a_gradient_that_is_none() -> None:
    leaves = (Leaf(0, array([1.0, 2.0])), Leaf(1, array(1.0)))
    steps = Grad((2,), (1,), (array(1.0),), (4,), create_graph=True), Apply("mul", (Ref(4), Ref(1)), (5,))
    program = Program(leaves, (Apply("std_mean", (Ref(0),), (2, 3)), *steps))
    with execute.quiet():
        failure = execute.run(TORCH, program).failure
    assert failure is not None
    assert generate.may_refuse(generate.Target("free"), program, failure)
    assert not generate.may_refuse(generate.Target("pair"), program, failure)
    assert not generate.may_refuse(generate.Target("free"), program, replace(failure, step=0))
    assert not generate.may_refuse(generate.Target("free"), program, replace(failure, error="RuntimeError"))


def test_a_free_program_may_view_a_gradient_that_is_not_contiguous() -> None:
    leaf = Leaf(0, array(np.ones((2, 3))), True)
    steps = (
        Apply("t", (Ref(0),), (1,)),
        Grad((1,), (0,), (array(np.ones((3, 2))),), (2,), create_graph=True),
        Apply("view", (Ref(2), (6,)), (3,), form="method"),
    )
    program = Program((leaf,), steps)
    with execute.quiet():
        failure = execute.run(TORCH, program).failure
    assert failure is not None
    assert generate.may_refuse(generate.Target("free"), program, failure)
    assert not generate.may_refuse(generate.Target("free"), replace(program, steps=steps[:1]), failure)


@given(st.lists(st.floats(width=64), max_size=6))
def test_floats_survive_json_to_the_last_bit(values: list[float]) -> None:
    leaf = Leaf(0, array(np.array(values, np.float64)))
    program = Program((leaf,), (Apply("sum", (Ref(0), Special("inf")), (1,)),))
    read = from_json(to_json(program))
    assert read == program
    assert to_numpy(read.leaves[0].array).tobytes() == np.array([float.fromhex(v.hex()) for v in values]).tobytes()


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided", "reversed"])
def test_layouts_change_strides_and_not_values(layout: str) -> None:
    data = np.arange(6.0).reshape(2, 3)
    laid = to_numpy(array(data, layout=layout))  # type: ignore[arg-type]
    assert (laid == data).all()
    assert laid.flags.c_contiguous == (layout == "contiguous")


def test_channels_last_is_torchs() -> None:
    import torch

    data = np.arange(48.0).reshape(2, 3, 4, 2)
    laid = to_numpy(array(data, layout="channels_last"))
    assert (laid == data).all()
    assert torch.from_numpy(laid).is_contiguous(memory_format=torch.channels_last)
    assert to_numpy(array(data[0, 0], layout="channels_last")).flags.c_contiguous


def test_defects_are_named() -> None:
    program = Program((Leaf(0, Array((2,), "float64", ("0x1p+0",))),), (Apply("sin", (Ref(7),), (0,)),), (9,))
    assert defects(program) == [
        "leaf 0 has 1 values for shape (2,)",
        "step 0 uses value 7, which is not made yet",
        "value 0 is made twice",
        "value 9 is observed but never made",
    ]


def test_canonical_numbers_values_in_order() -> None:
    program = Program((Leaf(8, array([1.0])),), (Apply("sin", (Ref(8),), (5,)), Backward((5,), (None,))), (5,))
    assert canonical(program) == Program(
        (Leaf(0, array([1.0])),), (Apply("sin", (Ref(0),), (1,)), Backward((1,), (None,))), (1,)
    )


def _drawn(seed: int, names: tuple[str, ...], blocks: int) -> str:
    """A digest of the programs of the first blocks."""
    digest = hashlib.sha256()
    cells = [(name, feature) for name in names for feature in generate.FEATURES]
    operations = [OPERATIONS[name] for name in names]
    for block in islice(generate.blocks(operations, cells), blocks):

        def consume(batch: list[tuple[generate.Target, bytes]]) -> bool:
            for target, data in batch:
                digest.update(to_json(generate.decode(data, target, SHAPES, operations)[0]))
            return True

        generate.draw(block, seed, consume)  # type: ignore[arg-type]
    return digest.hexdigest()


NAMES = ("add", "sin", "sum", "matmul", "__getitem__")


def test_a_seed_gives_the_same_programs_in_ci_and_elsewhere() -> None:
    code = f"from tests.test_conformance_program import _drawn; print(_drawn(3, {NAMES!r}, 24))"
    plain = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_CURRENT_TEST")}
    root = Path(__file__).parent.parent
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], env={**plain, **more}, cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        for more in ({}, {"CI": "true", "PYTHONHASHSEED": "7"})
    }
    assert answers == {_drawn(3, NAMES, 24)}
    assert _drawn(4, NAMES, 24) not in answers


def test_every_operation_has_its_plain_cell() -> None:
    cells = generate.cells(ALL, SHAPES)
    assert {op for op, feature in cells if feature == "float64"} == set(OPERATIONS)
    assert {op for op, feature in cells if feature == "order 2"} == {
        name for name, operation in OPERATIONS.items() if operation.gradient and operation.orders > 1
    }
    assert ("add", "broadcast") in cells
    assert ("sin", "broadcast") not in cells
    assert ("matmul", "0-d") not in cells


def test_nothing_is_written_where_elements_overlap() -> None:
    """Torch does not say what comes of it, unless it refuses; `unfold` has such results."""
    for index in range(64):
        for feature in ("write through", "result changed", "in-place"):
            data = hashlib.shake_128(bytes((index,))).digest(generate.SHORT)
            target = generate.Target("cell", "unfold", feature)
            program, _ = generate.decode(data, target, SHAPES, [OPERATIONS["unfold"]])
            failure = execute.run(MINIGRAD, program).failure
            assert failure is None or failure.error != "NotImplementedError"


def test_a_script_shows_what_the_program_shows(tmp_path) -> None:  # type: ignore[no-untyped-def]
    x = Leaf(0, array([[1.0, 2.0], [3.0, 0.1]], layout="transposed"))
    program = Program((x,), (Apply("mul", (Ref(0), Ref(0)), (1,), form="operator"), Backward((1,), (x.array,))), (1,))
    text = script(program, "torch")
    file = tmp_path / "program.py"
    file.write_text(text)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    seen = execute.run(TORCH, program)
    assert f"    torch:  {seen.grads[0]!r}" in done.stdout
    assert "largest difference: 0 (nowhere)" in done.stdout


def test_what_a_result_is_made_of() -> None:
    """What is switched off later is known to end the gradient of each result that nothing else is made of."""
    d = Decoder(bytes(generate.SIZE), SHAPES, "")
    first, second = d.fresh((), WIDE), d.fresh((2,), WIDE)
    for op, made in (("broadcast_tensors", [{first}, {second}]), ("meshgrid", [{first}, {second}])):
        out = d.emit(op, (Ref(first), Ref(second)), {})
        assert [d.infos[each].leaves for each in out] == made
        assert all(not d.infos[each].leaves for each in d.emit(op, (Ref(first), Ref(second)), {}, mode="no_grad"))
    (total,) = d.emit("add", (Ref(first), Ref(second)), {})
    assert d.infos[total].leaves == {first, second}


def test_the_vectors_of_addr_are_of_one_type() -> None:
    """Torch takes others, and then refuses to go back."""
    for index in range(64):
        d = Decoder(hashlib.shake_128(bytes((index,))).digest(generate.SIZE), SHAPES, "mixed")
        d.slots += [d.fresh((2,), WIDE), d.fresh((2,), WIDE), d.fresh((3,), WIDE)]
        (_, first, second), _ = OPERATIONS["addr"].draw(d)
        assert d.infos[first.id].dtype == d.infos[second.id].dtype


def test_a_hook_on_a_view_whose_base_was_written_to() -> None:
    """Torch's process ends where the hook is the first to ask such a view for its node."""
    x = Leaf(0, array([[1.0, 2.0], [3.0, 0.5]]), True)
    steps = (
        Apply("mul", (Ref(0), Ref(0)), (1,)), Apply("mT", (Ref(1),), (2,), form="attribute"),
        Inplace("exp_", 1, (), (3,)), Hook(2, scale=0.5), Backward((2,), (array([[1.0, -1.0], [0.5, 2.0]]),)),
    )  # fmt: skip
    program = Program((x,), steps)
    seen, same = execute.run(TORCH, program), execute.run(MINIGRAD, program)
    assert seen.failure is same.failure is None
    np.testing.assert_allclose(same.grads[0], seen.grads[0], rtol=1e-15)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(script(program), {})
    assert "largest difference: 0 " in out.getvalue()


def test_a_replacing_hook_that_gets_no_gradient() -> None:
    """The second order of eigvalsh comes by the eigenvectors, which are another result of its node."""
    x = Leaf(0, array([[2.0, 0.5], [0.5, 1.0]]), True)
    steps = (
        Apply("linalg.eigvalsh", (Ref(0),), (1,)), Hook(1, scale=0.5),
        Grad((1,), (0,), (array([1.0, -0.5]),), (2,), create_graph=True),
        Backward((2,), (array([[1.0, -1.0], [0.5, 2.0]]),)),
    )  # fmt: skip
    program = Program((x,), steps)
    seen, same = execute.run(TORCH, program), execute.run(MINIGRAD, program)
    assert seen.failure is same.failure is None
    assert seen.hooks[1] == same.hooks[1] == (1, None)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(script(program, "torch"), {})
    assert "error" not in out.getvalue()


@settings(max_examples=80, deadline=None)
@given(st.binary(min_size=generate.SIZE, max_size=generate.SIZE), targets)
def test_every_program_prints_as_a_script_that_runs(data: bytes, target: generate.Target) -> None:
    program, _ = generate.decode(data, target, SHAPES, ALL)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), execute.quiet():
        if program.steps:
            exec(script(program, "torch"), {})
            failed = execute.run(TORCH, program).failure is not None
            # Torch itself differs from run to run in the last place, by where the memory lies.
            assert float(out.getvalue().rpartition("largest difference: ")[2].split()[0]) < 1e-5
            assert failed == ("error" in out.getvalue().split())


def test_equal_programs_are_one_value() -> None:
    a, b = (Program((Leaf(0, array([0.5])),), (Apply("sin", (Ref(0),), (1,)),)) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)
    assert replace(a, observe=(1,)) != b


def test_every_operation_of_minigrad_is_said_by_some_program() -> None:
    """What is published under several names (absolute, concat, …) is one function, and one of its names is enough."""
    from minigrad.operations import published

    functional = {name.rpartition(".")[2] for name in OPERATIONS if name.startswith("nn.functional.")}
    unsaid = [names[0] for names in published().values() if not {*names} & {*OPERATIONS, *functional}]
    assert sorted(set(unsaid) - UNSAID) == []


#: Not for programs of real tensors: complex numbers, random numbers, answers that are no tensors.
UNSAID = {
    *("imag", "linalg.eig", "linalg.eigvals", "complex", "polar", "view_as_complex", "view_as_real"),
    *("bernoulli", "multinomial", "normal"),
    *("allclose", "equal", "is_conj", "is_neg", "_neg_view", "broadcast_shapes"),
}


def test_what_takes_seconds_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"a": 1}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [remembered("some", make) for _ in range(3)] == [{"a": 1}] * 3
    assert len(made) == 1
    (file,) = (tmp_path / "cache").rglob("some-*.json")
    file.write_text('{"a"')
    assert remembered("some", make) == {"a": 1}  # half a file is none
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert remembered("some", make) == {"a": 1}


def test_a_script_shows_that_a_hook_was_given_none() -> None:
    steps = (Apply("var_mean", (Ref(0),), (1, 2)), Hook(1), Backward((2,), (array(1.0),)))
    program = Program((Leaf(0, array([1.0, 2.0])),), steps, (2,))
    assert execute.run(TORCH, program).hooks == ((1, None),)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(script(program, "torch"), {})
    assert "hook 0 of step 1" in out.getvalue()
    assert "error" not in out.getvalue()
