"""The backbones behind one branch's features, trained by the branch's losses.

Gradient caching: the features of whole crops are computed without a graph, the branch gives the
gradient at the features, and each micro-batch of snippets is passed through once more with it. So
memory depends on the micro-batch and not on T, and the gradient is that of one graph. As many
graphs as fit into `backbone.keep_mib` are kept, and those snippets are not passed again. Source:
Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP
2021, https://arxiv.org/abs/2101.06983.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from duetal.core.errors import DuetalError, machine_fault
from duetal.end_to_end.frame_cache import FrameCache
from duetal.end_to_end.stage_features import tuned_weights, with_parts, with_tuned
from duetal.end_to_end.trained_parameters import choose_parameters, merged, set_training
from duetal.extraction.networks import Network
from duetal.extraction.store import Store, open_store
from duetal.features.metadata import SETTINGS_FILE, Settings, differing, read_settings
from duetal.features.places import Place
from duetal.features.streams import FeatureStream
from duetal.method.backbone_settings import BackboneSettings
from duetal.method.sampling import MicroBatch, random_seed
from duetal.method.trainable_backbone import TrainableBackbone


@dataclass(frozen=True, eq=False)
class TrainedPart:
    """One backbone, its frames, and its channels of the branch's features."""

    network: Network
    frames: FrameCache
    columns: slice


class _Piece(NamedTuple):
    """Snippets of a crop that pass through a backbone at once: rows of the micro-batch."""

    part: TrainedPart
    row: int
    rows: slice
    video: int
    start: int  # In the video.


class BranchBackbone(TrainableBackbone):
    """The backbones of a branch; see the module.

    Args:
        fabric: device and processes.
        settings: of training backbones.
        parts: the backbones that are trained, at least one.
        stream: the branch's features as the dataset has them.
        names: the training videos, in the order of their indices.
        store_settings: of a store of the parts' features, before they are trained.
        folder: gives the folder of a stage's features.
        seed: of what is random.
    """

    def __init__(
        self,
        fabric: Fabric,
        settings: BackboneSettings,
        parts: Sequence[TrainedPart],
        stream: FeatureStream,
        names: Sequence[str],
        store_settings: Settings,
        folder: Callable[[str], Path],
        seed: int,
    ):
        super().__init__()
        self._fabric, self._settings, self._parts = fabric, settings, parts
        self._stream, self._names, self._folder = stream, names, folder
        self._store_settings = store_settings
        self._kept: list[Tensor] = []  # Of the last pieces, the last one first.
        self._seed = 0
        for part in parts:
            module = part.network.backbone.module
            assert module is not None
            name = part.network.name
            found = choose_parameters(module, settings, name, random_seed(seed, "backbone", name))
            module.to(fabric.device)
            for key, parameter in found.items():
                # The parameters of a module have no dots.
                self.register_parameter(f"{name}/{key.replace('.', '/')}", parameter)

    def compute(self, micro: MicroBatch) -> Tensor:
        """See `TrainableBackbone`; the graphs of the last pieces are kept."""
        self._seed = torch.initial_seed()
        self._set_training(True)
        features = micro.features.to(self._fabric.device, copy=True)
        self._kept = []
        room, size = self._settings.keep_mib * 2**20, 0
        # Beginning with the last, as the gradient is passed back piece by piece from there.
        for piece in reversed(self._pieces(micro)):
            # The first is passed back at once, so keeping it costs nothing; others take as much.
            keep = not self._kept or size <= room
            with torch.set_grad_enabled(keep), _counting_saved(self) as saved:
                found = self._encode(piece)
            if keep:
                self._kept.append(found)
                size = sum(saved.values())
                room -= size
            features[piece.row, piece.rows, piece.part.columns] = found.detach()
        return features.requires_grad_()

    def backward(self, micro: MicroBatch) -> None:
        """See `TrainableBackbone`."""
        gradient = micro.features.grad
        assert gradient is not None
        kept, self._kept = self._kept[::-1], []
        for piece in reversed(self._pieces(micro)):
            found = kept.pop() if kept else self._encode(piece)
            self._pass_back(found, gradient, piece)

    def extract(self, stage: str) -> FeatureStream:
        """See `TrainableBackbone`: a store of the stage, which knows the weights by their hash."""
        self._set_training(False)
        settings = with_tuned(self._store_settings, tuned_weights(self.state_dict()))
        folder = self._folder(stage)
        begun = self._fabric.is_global_zero and (folder / SETTINGS_FILE).is_file()
        # What a kill left may be of the weights of another machine.
        if begun and differing(read_settings(Place(folder)), settings):
            shutil.rmtree(folder)
        self._fabric.barrier()
        with open_store(folder, settings) as store, ExitStack() as stack:
            for module in self._modules_trained():
                stack.enter_context(merged(module))
            names = list(self._parts[0].frames.records)
            for name in names[self._fabric.global_rank :: self._fabric.world_size]:
                if not store.is_complete(name):
                    self._extract_video(store, name)
        self._fabric.barrier()
        return with_parts(self._stream, folder, [part.network.name for part in self._parts])

    def _extract_video(self, store: Store, name: str) -> None:
        record = self._parts[0].frames.records[name]
        with store.writer() as writer:
            for part in self._parts:
                network = part.network
                # Networks fill up their batch, so that a snippet's features are those of any other.
                for start in range(0, record.snippets, network.batch):
                    read = part.frames.read(name, start, start + network.batch)
                    with np.errstate(over="ignore"):
                        rows = network(list(read)).astype(store.settings["dtype"])
                    if not np.isfinite(rows).all():
                        cause = f"the trained {network.name} backbone gives features that are not "
                        raise DuetalError(f"{cause}finite", place=f"video {name!r}")
                    writer.write(network.name, rows)
            widths = {part.network.name: part.network.backbone.dim for part in self._parts}
            made = {"widths": widths, "settings": dict(store.settings), "seconds": {}}
            store.finish(writer, record.model_copy(update=made))

    def _set_training(self, training: bool) -> None:
        for module in self._modules_trained():
            set_training(module, training)

    def _modules_trained(self) -> list[nn.Module]:
        found = [part.network.backbone.module for part in self._parts]
        return [module for module in found if module is not None]

    def _pieces(self, micro: MicroBatch) -> list[_Piece]:
        size = self._settings.micro_batch
        return [
            _Piece(part, row, slice(at, min(at + size, crop.length)), crop.video, crop.start + at)
            for part in self._parts
            for row, crop in enumerate(micro.crops)
            for at in range(0, crop.length, size)
        ]

    def _encode(self, piece: _Piece) -> Tensor:
        """The features (n, C) of a piece; dropout is the same whenever it is passed."""
        name, count = self._names[piece.video], piece.rows.stop - piece.rows.start
        read = torch.from_numpy(piece.part.frames.read(name, piece.start, piece.start + count))
        device = self._fabric.device
        with (
            self._explained(count),
            torch.random.fork_rng([device] if device.type == "cuda" else []),
        ):
            torch.manual_seed(random_seed(self._seed, piece.video, piece.start))
            return piece.part.network.features(read.to(device))

    def _pass_back(self, output: Tensor, gradient: Tensor, piece: _Piece) -> None:
        with self._explained(len(output)):
            own = gradient[piece.row, piece.rows, piece.part.columns]
            torch.autograd.backward(output, own)

    @contextmanager
    def _explained(self, count: int) -> Iterator[None]:
        """Turn a lack of memory into an error that names the setting that helps."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not (machine_fault(error) or "").startswith("out of memory"):
                raise
            cause = f"out of memory with {count} snippets at once in a backbone"
            if len(self._kept) > 1:
                half = self._settings.keep_mib // 2
                raise DuetalError(f"{cause}; backbone.keep_mib={half} keeps fewer") from error
            if count > 1:
                raise DuetalError(
                    f"{cause}; backbone.micro_batch={count // 2} halves it"
                ) from error
            less = "backbone.train=last:1" if self._settings.train == "all" else "a smaller model"
            raise DuetalError(f"{cause}; {less} needs less") from error


@contextmanager
def _counting_saved(module: nn.Module) -> Iterator[dict[int, int]]:
    """The bytes of each storage that the block's graph saves, but for the weights."""
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved
