"""What a backbone reads of videos, decoded once and kept: frames in uint8, as extraction cuts them.

FOLDER/<video>-<hash of the file>.npy    (T, frames, h, w, 3), or as `Backbone.prepare` makes it
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.files import replacing
from duetal.extraction.extraction_settings import ExtractionSettings
from duetal.extraction.items import Broken, Passing, Snippet
from duetal.extraction.networks import Network
from duetal.extraction.pipeline import usable_cpus
from duetal.extraction.snippets import cut, decode
from duetal.extraction.sources import Video
from duetal.extraction.threads import Stages
from duetal.features.metadata import VideoRecord

#: Frames in a block, and blocks that are decoded ahead.
_TOGETHER, _AHEAD = 16, 4


@dataclass(frozen=True)
class FrameCache:
    """The inputs of one backbone, by video; `records` are those of the features."""

    folder: Path
    records: Mapping[str, VideoRecord]

    def path(self, name: str) -> Path:
        """The file of a video."""
        return self.folder / f"{name}-{self.records[name].sha256[:8]}.npy"

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The snippets `[start, stop)` of a video, a copy; the file is mapped, not read whole."""
        try:
            return np.array(np.load(self.path(name), mmap_mode="r")[start:stop])
        except (OSError, ValueError) as error:
            cause = "damaged frames; delete the file, and they are decoded again"
            raise DuetalError(cause, file=self.path(name)) from error

    def fill(self, network: Network, settings: ExtractionSettings) -> None:
        """Decode the videos that are not there yet, as the backbone of the network reads them.

        Raises:
            DuetalError: a video that is gone, damaged or another one, whose frames do not fit the
                features' grid; the disk is full.
        """
        missing = [
            Video(name, record.source, record.stream, damaged=bool(record.notes))
            for name, record in self.records.items()
            if not self.path(name).is_file()
        ]
        grid, threads = settings.grid, usable_cpus()
        with Stages() as stages:
            decoded = decode(
                missing,
                grid=grid,
                short_side=settings.short_side,
                networks=[network],
                threads=threads,
                together=_TOGETHER,
            )
            frames = stages.ahead(decoded, _AHEAD)
            snippets = cut(
                frames, grid=grid, crop=settings.crop, flow=None, backbones=[network.record]
            )
            items = stages.ahead(snippets, _AHEAD)
            for job, of_video in itertools.groupby(items, lambda item: item.job):
                self._keep(job.video.name, network.name, of_video)

    def _keep(self, name: str, modality: str, items: Iterable[Passing]) -> None:
        record, path, count = self.records[name], self.path(name), 0
        with replacing(path) as temporary, temporary.open("wb") as file:
            for item in items:
                if isinstance(item, Broken):
                    cause = f"{item.error.cause}; training a backbone reads the videos again"
                    raise DuetalError(cause, file=item.error.file, place=item.error.place)
                if isinstance(item, Snippet):
                    read = np.ascontiguousarray(item.inputs.pop(modality))
                    if not count:
                        shape = (record.snippets, *read.shape)
                        header = {"descr": read.dtype.str, "fortran_order": False, "shape": shape}
                        npy_format.write_array_header_1_0(file, header)
                    file.write(read.data)
                    count += 1
                elif item.job.sha256 != record.sha256:
                    cause = "another video than the one that the features were made of"
                    raise DuetalError(cause, file=record.source)
            if count != record.snippets:
                cause = f"its frames make {count} snippets, and its features have {record.snippets}"
                raise DuetalError(cause, file=record.source)
