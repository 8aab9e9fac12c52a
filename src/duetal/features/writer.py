"""Writing one video's feature arrays row by row, while their length is not yet known."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from duetal.core.errors import DuetalError
from duetal.core.files import Closing
from duetal.features.places import Place


class VideoWriter(Closing):
    """Takes the rows of a video and, when all are there, puts the arrays into their place.

    Until then the rows lie in files without a name, which vanish with the process, so the memory
    taken does not grow with the video and a killed program leaves nothing behind.

    Args:
        place: where the arrays are put.
        modalities: names of the arrays.
        dtype: "float16" or "float32", as which they are stored.

    Raises:
        DuetalError: no file can be made.
    """

    def __init__(self, place: Place, modalities: Sequence[str], dtype: str):
        self._place = place
        self._dtype = np.dtype(dtype)
        self._files: dict[str, IO[bytes]] = {}
        #: T, the rows of each array so far.
        self.lengths = dict.fromkeys(modalities, 0)
        #: C of each array, known from its first row on.
        self.widths: dict[str, int] = {}
        try:
            # Beside the arrays, because that disk is the one known to have the room.
            if place.local is not None:
                place.local.mkdir(parents=True, exist_ok=True)
            for modality in modalities:
                self._files[modality] = tempfile.TemporaryFile(dir=place.local)  # noqa: SIM115
        except OSError as error:
            self.close()
            raise self._refusal(error) from error

    def close(self) -> None:
        """Throw away the rows; what has been published stays."""
        # What a full disk did not take is flushed once more on closing; it has been told already.
        for file in self._files.values():
            try:
                file.close()
            except OSError:
                continue

    def write(self, modality: str, rows: NDArray[Any]) -> None:
        """Append rows (n, C) to the array of a modality.

        Raises:
            DuetalError: the disk is full or can't be written to.
            ValueError: another C than the rows before had.
        """
        rows = np.ascontiguousarray(rows, dtype=self._dtype)
        if self.widths.setdefault(modality, rows.shape[1]) != rows.shape[1]:
            raise ValueError(f"{modality}: rows of {rows.shape[1]} after {self.widths[modality]}")
        try:
            self._files[modality].write(rows.data)
        except OSError as error:
            raise self._refusal(error) from error
        self.lengths[modality] += len(rows)

    def publish(self, modality: str, name: str) -> None:
        """Put the array of a modality, whole, into the place under a name.

        Raises:
            DuetalError: the place can't be written to, or is full.
        """
        header = io.BytesIO()
        shape = (self.lengths[modality], self.widths[modality])
        described: Mapping[str, Any] = {
            "descr": npy_format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": shape,
        }
        npy_format.write_array_header_1_0(header, dict(described))
        try:
            self._files[modality].flush()
        except OSError as error:
            raise self._refusal(error) from error
        self._place.write(name, header, self._files[modality])

    def _refusal(self, error: OSError) -> DuetalError:
        cause = f"cannot write features: {error.strerror or error}"
        return DuetalError(cause, file=self._place.name)
