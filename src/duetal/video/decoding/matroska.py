"""The elements of a Matroska file between two blocks, of which FFmpeg tells nothing.

FFmpeg skips what it does not know and what is damaged alike, without an error. Walking the elements
tells the two apart: https://www.rfc-editor.org/rfc/rfc8794 (EBML), rfc9559 (Matroska).
"""

from collections.abc import Callable

SIMPLE_BLOCK, BLOCK = 0xA3, 0xA1
#: Elements whose content is elements again: Segment, Cluster, BlockGroup.
_ENTERED = frozenset({0x18538067, 0x1F43B675, 0xA0})
#: Elements that are skipped whole: those of the file, of a Segment, of a Cluster, of a BlockGroup.
_SKIPPED = frozenset({
    0x1A45DFA3, 0xEC, 0xBF,
    0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367,
    0xE7, 0x5854, 0xA7, 0xAB, 0xAF, SIMPLE_BLOCK,
    BLOCK, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8,
})  # fmt: skip
#: The longest head of an element: 4 bytes of identifier, 8 of size.
_HEAD = 12


def leads_on(read: Callable[[int, int], bytes], block: int, after: int) -> bool:
    """Whether nothing but whole elements lies between two blocks of a Matroska file.

    Args:
        read: gives up to so many bytes, the second argument, from a place in the file on.
        block: where the content of the first block begins, in bytes.
        after: where that of the second one begins.
    """
    place = _end_of(read(max(0, block - _HEAD), min(block, _HEAD)), block)
    while place is not None and place < after:
        head = read(place, _HEAD)
        identifier, id_length = _number(head, marked=True)
        size, size_length = _number(head[id_length:], marked=False)
        place += id_length + size_length
        if not id_length or not size_length:
            return False
        if place == after:
            return identifier in (SIMPLE_BLOCK, BLOCK)
        if identifier in _ENTERED:
            continue
        if identifier not in _SKIPPED:
            return False
        place += size
    return False


def _end_of(before: bytes, block: int) -> int | None:
    """Where a block ends whose content begins at `block`, from the bytes before that."""
    for length in range(1, min(9, len(before))):
        size, found = _number(before[-length:], marked=False)
        if found == length and before[-length - 1] in (SIMPLE_BLOCK, BLOCK):
            return block + size
    return None


def _number(data: bytes, *, marked: bool) -> tuple[int, int]:
    """The number of variable length that some bytes begin with, and its length; 0 if there is none.

    An identifier keeps the marker of its length, a size does not.
    """
    length = 9 - data[0].bit_length() if data else 9
    if length > 8 or length > len(data):
        return 0, 0
    number = int.from_bytes(data[:length], "big")
    return number if marked else number & ~(1 << (7 * length)), length
