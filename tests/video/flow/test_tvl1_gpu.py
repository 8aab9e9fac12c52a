"""The batched engine: PyTorch's backend on the CPU, Triton's in its interpreter or on a GPU."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from duetal.core.errors import UsageError
from duetal.simulation.clips import Scene
from duetal.video.flow.interface import TVL1Settings, grey, open_flow
from duetal.video.flow.opencv_flow import OpenCVFlow
from duetal.video.flow.tvl1_gpu import TorchTVL1Flow, has_triton
from duetal.video.flow.tvl1_torch import (
    FLAT,
    _step,
    linearize,
    median,
    resize,
    solve_level,
    with_gradient,
)

Frames = NDArray[np.uint8]

NO_TRITON = "no Triton: the kernels were not tested"
needs_triton = pytest.mark.skipif(not has_triton(), reason=NO_TRITON)
needs_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() and has_triton()),
    reason="no GPU with Triton: the kernels were not tested on one",
)


def moving(size: tuple[int, int], velocity: tuple[float, float], count: int = 2) -> Frames:
    """Frames of a texture that moves by so many pixels a frame."""
    scene = Scene(size, velocity=velocity, fps=1)
    return grey(np.stack([scene.picture(k) for k in range(count)]))


def on_cpu(settings: TVL1Settings | None = None, **options: object) -> TorchTVL1Flow:
    return TorchTVL1Flow(settings or TVL1Settings(), device="cpu", backend="torch", **options)


def distance(first: NDArray[np.float32], second: object) -> NDArray[np.float32]:
    """End-point difference in px, place by place."""
    return np.linalg.norm(first - second, axis=-1)


class TestAgainstTruth:
    @pytest.mark.parametrize("velocity", [(1.0, 0.0), (1.5, -0.5), (-2.0, 1.0)])
    def test_it_finds_a_known_motion_where_opencv_does(self, velocity: tuple[float, float]) -> None:
        frames = moving((120, 96), velocity)
        inner = (0, slice(12, -12), slice(12, -12))
        ours = distance(on_cpu()(frames), velocity)[inner]
        reference = distance(OpenCVFlow(TVL1Settings())(frames), velocity)[inner]
        assert reference.mean() < 0.01
        assert ours.mean() < 0.01

    @pytest.mark.parametrize("velocity", [(-0.4, 0.7), (2.5, 3.25)])
    def test_it_is_no_worse_where_opencv_is_less_exact(self, velocity: tuple[float, float]) -> None:
        frames = moving((120, 96), velocity)
        ours = distance(on_cpu()(frames), velocity).mean()
        assert ours < distance(OpenCVFlow(TVL1Settings())(frames), velocity).mean() + 0.005

    def test_frames_that_stand_still_have_no_flow_at_all(self) -> None:
        frames = np.repeat(moving((50, 40), (0, 0), 1), 3, axis=0)
        assert np.all(on_cpu()(frames) == 0)


#: In pixels, on average. The last bits depend on the vectors of the processor; an iteration more or
#: less before the threshold then moves the mean up to 0.013.
NEAR_OPENCV = 0.02


class TestAgainstOpenCV:
    @pytest.mark.parametrize(
        ("size", "changes"),
        [
            pytest.param((80, 60), {}, id="defaults"),
            pytest.param((61, 47), {"median_filtering": 3, "scale_step": 0.5}, id="odd sizes"),
            pytest.param((61, 47), {"scales": 3, "scale_step": 0.993}, id="levels of one size"),
            pytest.param((64, 48), {"epsilon": 0.05, "theta": 0.2, "tau": 0.2}, id="early end"),
            pytest.param((40, 30), {"scales": 2, "warps": 2, "lambda_": 0.3}, id="few warps"),
            pytest.param((40, 15), {"outer_iterations": 2, "inner_iterations": 7}, id="one level"),
        ],
    )
    def test_it_follows_every_setting(
        self, size: tuple[int, int], changes: dict[str, float]
    ) -> None:
        settings = TVL1Settings(**changes)
        frames = moving(size, (1.3, -0.6))
        difference = distance(on_cpu(settings)(frames), OpenCVFlow(settings)(frames))
        assert difference.mean() < NEAR_OPENCV

    def test_the_engine_for_the_cpu_finds_the_same(self) -> None:
        frames = moving((80, 60), (1.3, -0.6))
        cpu = open_flow("tvl1", TVL1Settings())
        assert distance(on_cpu()(frames), cpu(frames)).mean() < NEAR_OPENCV

    @pytest.mark.real
    def test_it_agrees_on_real_clips(self, real_data: Path) -> None:
        for clip in sorted((real_data / "video").glob("*.mp4")):
            with av.open(str(clip)) as container:
                pictures = [
                    frame.to_ndarray(format="rgb24", width=170, height=128)
                    for frame, _ in zip(container.decode(video=0), range(42), strict=False)
                ]
            frames = grey(np.stack(pictures[40:]))
            reference = OpenCVFlow(TVL1Settings())(frames)
            assert np.abs(reference).mean() > 0.05
            assert distance(on_cpu()(frames), reference).mean() < 0.05


class TestBatches:
    #: Pairs that need few and many iterations, side by side.
    FRAMES = np.concatenate([moving((48, 36), (1.5, 0.5), 3), moving((48, 36), (0, 0), 2)])

    @pytest.mark.parametrize("pairs", [1, 3])
    def test_a_flow_does_not_depend_on_the_batch(self, pairs: int) -> None:
        whole = on_cpu(pairs=16)(self.FRAMES)
        assert np.array_equal(on_cpu(pairs=pairs)(self.FRAMES), whole)

    def test_tensors_go_in_and_out(self) -> None:
        flow = on_cpu().flow_of(torch.from_numpy(self.FRAMES))
        assert flow.dtype == torch.float32
        assert np.array_equal(flow.numpy(), on_cpu()(self.FRAMES))

    def test_one_frame_has_no_flow(self) -> None:
        assert on_cpu()(self.FRAMES[:1]).shape == (0, 36, 48, 2)

    @pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 40), (5, 3), (17, 16), (16, 33)])
    def test_any_size_will_do(self, size: tuple[int, int]) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (3, *size), np.uint8)
        flow = on_cpu()(frames)
        assert flow.shape == (2, *size, 2)
        assert np.isfinite(flow).all()

    @pytest.mark.parametrize("shape", [(4, 4), (2, 0, 4), (0, 4, 4), (2, 4, 4, 3)])
    def test_other_arrays_are_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="frames must be uint8"):
            on_cpu()(np.zeros(shape, np.uint8))
        with pytest.raises(ValueError, match="frames must be uint8"):
            on_cpu().flow_of(torch.zeros(shape, dtype=torch.uint8))
        with pytest.raises(ValueError, match="frames must be uint8"):
            on_cpu().flow_of(torch.zeros(2, 4, 4))

    @pytest.mark.parametrize(
        ("free", "expected"), [(1, [1, 1, 1, 1]), (10**7, [3, 1]), (10**12, [4])]
    )
    def test_as_many_pairs_at_once_as_memory_holds(
        self, monkeypatch: pytest.MonkeyPatch, free: int, expected: list[int]
    ) -> None:
        engine = on_cpu()
        monkeypatch.setattr(engine, "_free_memory", lambda: free)
        chunks = engine._chunks(5, 100, 90)
        assert [chunk.stop - chunk.start for chunk in chunks] == expected
        assert chunks[-1].stop == 4


class TestSteps:
    @pytest.mark.parametrize("side", [1, 3, 5])
    @pytest.mark.parametrize("levels", [2, 4, 1000])
    def test_the_median_is_the_median(self, side: int, levels: int) -> None:
        # Two levels alone would prove it, if they were all: values only ever are compared.
        images = np.random.default_rng(side).integers(0, levels, (2, 3, 40, 50)).astype(np.float32)
        reach = side // 2
        edges = ((0, 0), (0, 0), (reach, reach), (reach, reach))
        padded = np.pad(images, edges, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (2, 3))
        found = median(torch.from_numpy(images), side).numpy()
        assert np.array_equal(found, np.median(windows, axis=(4, 5)))

    def test_a_warp_by_whole_pixels_is_exact(self) -> None:
        frames = torch.arange(60.0).reshape(1, 6, 10).repeat(2, 1, 1)
        flow = torch.zeros(1, 2, 6, 10)
        flow[:, 0], flow[:, 1] = 2, -1
        a, b, c = linearize(with_gradient(frames), flow)[0]
        warped = a * 2 - b + c + frames[0]
        assert torch.equal(warped[1:, :8], frames[0, :5, 2:])
        # Outside the image there is nothing.
        assert torch.all(warped[0] == 0)
        assert torch.all(warped[:, 8:] == 0)

    def test_resizing_keeps_a_ramp(self) -> None:
        ramp = torch.arange(20.0).expand(1, 6, 20)
        half = resize(ramp, (3, 10), (2.0, 2.0))
        assert torch.allclose(half[0], torch.arange(10.0) * 2 + 0.5)


class TestDevices:
    def test_an_unknown_device_is_named(self) -> None:
        with pytest.raises(UsageError, match="no device 'tpu9' for the flow"):
            TorchTVL1Flow(TVL1Settings(), device="tpu9")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_an_absent_gpu_is_named(self) -> None:
        with pytest.raises(UsageError, match="no device 'cuda' for the flow"):
            TorchTVL1Flow(TVL1Settings())

    @pytest.mark.parametrize("triton", [None, SimpleNamespace(__version__="3.3.1+rocm")])
    def test_without_a_recent_triton_its_backend_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, triton: object
    ) -> None:
        monkeypatch.setitem(sys.modules, "triton", triton)
        assert TorchTVL1Flow(TVL1Settings(), device="cpu").backend == "torch"
        with pytest.raises(UsageError, match="needs Triton"):
            TorchTVL1Flow(TVL1Settings(), device="cpu", backend="triton")


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What the kernels compute in Triton's interpreter, which wants a process of its own."""
    results = tmp_path_factory.mktemp("triton") / "results.pt"
    script = Path(__file__).with_name("interpret_tvl1.py")
    subprocess.run(
        [sys.executable, script, results], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True
    )
    return SimpleNamespace(**torch.load(results, weights_only=True))


@needs_triton
class TestKernelsInterpreted:
    def test_median(self, interpreted: SimpleNamespace) -> None:
        for side in (3, 5):
            expected = median(interpreted.flow, side)
            assert torch.equal(interpreted.medians[str(side)], expected)

    def test_linearize(self, interpreted: SimpleNamespace) -> None:
        expected = linearize(with_gradient(interpreted.frames), interpreted.flow)
        assert (interpreted.linear - expected).abs().max() < 1e-3 * expected.abs().max()

    def test_iterations_over_several_strips(self, interpreted: SimpleNamespace) -> None:
        launch = SimpleNamespace(**interpreted.iterated)
        inverse = 1 / launch.linear[:, :2].square().sum(1).clamp(min=FLAT)
        flow, dual = launch.flow, launch.dual
        for k in range(launch.steps):
            before = flow
            flow, dual = _step(launch.linear, inverse, flow, dual, TVL1Settings())
            change = (flow - before).square().sum().item()
            assert launch.changes[:, :, k].sum().item() == pytest.approx(change, rel=1e-4)
        assert (launch.new_flow - flow).abs().max() < 1e-5
        assert (launch.new_dual - dual.flatten(1, 2)).abs().max() < 1e-5

    def test_each_pair_ends_when_its_flow_stands_still(self, interpreted: SimpleNamespace) -> None:
        settings = TVL1Settings(**interpreted.solve_settings)
        frames = interpreted.solve_frames
        flow = torch.zeros(len(frames) - 1, 2, *frames.shape[1:])
        assert (interpreted.solved - solve_level(frames, flow, settings)).abs().max() < 1e-4
        # More iterations would have been allowed, and would have changed it.
        longer = TVL1Settings(**{**interpreted.solve_settings, "epsilon": 0.0})
        assert (interpreted.solved - solve_level(frames, flow, longer)).abs().max() > 1e-3
        assert torch.all(interpreted.solved[1] == 0)

    def test_what_a_launch_decides(self, interpreted: SimpleNamespace) -> None:
        for before, after, expected in interpreted.decided:
            assert after == expected, before


@needs_triton
class TestKernelsCompiled:
    """For GPUs that need not be there: the interpreter takes what the compiler refuses."""

    KERNELS: ClassVar[dict[str, tuple[str, dict[str, int]]]] = {
        "_iterate": ("pppppiifff", {}),
        "_decide": ("ppif", {}),
        "_linearize": ("ppppii", {}),
        "_median": ("ppii", {"side": 5}),
    }

    @pytest.mark.parametrize("name", KERNELS)
    def test_it_compiles(self, name: str) -> None:
        assert self.compiled(name)["cubin"]

    def test_a_warp_keeps_to_itself(self) -> None:
        # Or most of the speed is gone: neighbours would go through shared memory, behind barriers.
        code = self.compiled("_iterate")["ptx"]
        assert "shfl.sync" in code
        assert "bar.sync" not in code
        assert ".shared" not in code

    def compiled(self, name: str) -> dict[str, Any]:
        """The forms of a kernel for NVIDIA's Hopper."""
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        from duetal.video.flow import tvl1_triton

        kernel = getattr(tvl1_triton, name)
        kinds, constants = self.KERNELS[name]
        types = [{"p": "*fp32", "i": "i32", "f": "fp32"}[kind] for kind in kinds]
        types += ["constexpr"] * len(constants)
        signature = dict(zip(kernel.arg_names, types, strict=True))
        if "records" in signature:
            signature["records"] = "*i32"
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        options = {"num_warps": 1, "enable_fp_fusion": True}
        return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm


@needs_gpu
class TestOnGPU:
    def test_the_kernels_agree_with_opencv(self) -> None:
        frames = moving((340, 256), (2.6, -1.2), 3)
        flow = TorchTVL1Flow(TVL1Settings(), backend="triton")(frames)
        assert distance(flow, OpenCVFlow(TVL1Settings())(frames)).mean() < 0.005

    def test_both_backends_agree(self) -> None:
        frames = torch.from_numpy(moving((150, 100), (2.6, -1.2), 5)).cuda()
        triton, plain = (
            TorchTVL1Flow(TVL1Settings(), backend=backend).flow_of(frames).cpu().numpy()
            for backend in ("triton", "torch")
        )
        assert distance(triton, plain).mean() < 0.001

    def test_a_flow_does_not_depend_on_the_batch(self) -> None:
        frames = torch.from_numpy(moving((150, 100), (2.6, -1.2), 9)).cuda()
        frames[4:6] = frames[3]
        whole = TorchTVL1Flow(TVL1Settings(), pairs=8).flow_of(frames)
        assert torch.equal(TorchTVL1Flow(TVL1Settings(), pairs=3).flow_of(frames), whole)
        assert torch.all(whole[3:5] == 0)

    @pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 40), (17, 16), (700, 33)])
    def test_any_size_will_do(self, size: tuple[int, int]) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (3, *size), np.uint8)
        assert np.isfinite(TorchTVL1Flow(TVL1Settings())(frames)).all()
