"""Fuzzing the decoder with damaged videos.

    python tests/video/decoding/fuzz_decoding.py CLIPS... --minutes 10 --seed 0

Each run mutates one of the clips (flipped bits, blocks of noise, blocks deleted, doubled or
swapped, truncation, damage to the header) and decodes it to the end in a worker process. What must
come out is frames or a `DuetalError`, within the time and memory given. Another exception, a crash,
a hang, or a worker that grows from run to run is a fault: it is printed with the file that shows
it, kept in --keep, and the exit code is 1. The same seed gives the same mutations.
"""

import argparse
import contextlib
import ctypes
import gc
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

#: Seconds that decoding one damaged clip may take; a sound one takes less than one.
MOST_SECONDS = 60
#: Seconds more for a worker's first, before which it imports everything.
FIRST_SECONDS = 60
#: A worker begins afresh, as a user's process does.
START_METHOD = "spawn"
#: Bytes of address space that a worker may take.
MOST_MEMORY = 8 << 30
#: Runs after which a worker's memory is taken as what it needs, and those over which it may grow.
WARM_UP, LEAK_RUNS = 50, 150
#: Bytes a run that a worker may grow by on average: a picture of a clip is larger.
MOST_GROWTH = 64 << 10
#: Frames after which a run is stopped: damaged timestamps can hold a picture for hours.
MOST_FRAMES = 200_000

Mutation = Callable[[bytearray, random.Random], bytearray]


def flip_bits(content: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 10, 100, 1000])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def damage_header(content: bytearray, rng: random.Random) -> bytearray:
    """Bytes of the first or last few kilobytes, where containers keep their tables."""
    reach = min(len(content), rng.choice([64, 512, 4096, 20_000]))
    begin = rng.choice([0, len(content) - reach])
    for _ in range(rng.choice([1, 3, 10, 50])):
        value = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        content[begin + rng.randrange(reach)] = value
    return content


def damage_table(content: bytearray, rng: random.Random) -> bytearray:
    """A number in an MP4's box: sizes, counts, times, matrices."""
    names = [
        b"moov",
        b"mvhd",
        b"tkhd",
        b"mdhd",
        b"stsd",
        b"stts",
        b"ctts",
        b"stsc",
        b"stsz",
        b"stco",
    ]
    names += [b"elst", b"avcC", b"stss", b"hdlr", b"mdat", b"ftyp"]
    found = [at for name in names if (at := content.find(name)) >= 0]
    if not found:
        return damage_header(content, rng)
    for _ in range(rng.choice([1, 2, 5])):
        at = rng.choice(found) + rng.choice([-4, 4, 8, 12, 16, 20, 24, 4 * rng.randrange(40)])
        value = rng.choice([0, 1, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.randrange(1 << 32)])
        content[max(0, at) : max(0, at) + 4] = value.to_bytes(4, "big")
    return content


def blocks(content: bytearray, rng: random.Random) -> tuple[int, int, int]:
    """Two places and a length."""
    length = min(len(content), rng.choice([1, 16, 188, 512, 4096, 65536, 300_000]))
    return rng.randrange(len(content)), rng.randrange(len(content)), length


def noise_block(content: bytearray, rng: random.Random) -> bytearray:
    at, _, length = blocks(content, rng)
    content[at : at + length] = rng.randbytes(min(length, len(content) - at))
    return content


def delete_block(content: bytearray, rng: random.Random) -> bytearray:
    at, _, length = blocks(content, rng)
    del content[at : at + length]
    return content


def double_block(content: bytearray, rng: random.Random) -> bytearray:
    at, to, length = blocks(content, rng)
    content[to:to] = content[at : at + length]
    return content


def swap_blocks(content: bytearray, rng: random.Random) -> bytearray:
    at, to, length = blocks(content, rng)
    one, other = content[at : at + length], content[to : to + length]
    length = min(len(one), len(other))
    content[at : at + length], content[to : to + length] = other[:length], one[:length]
    return content


def truncate(content: bytearray, rng: random.Random) -> bytearray:
    return content[: rng.randrange(len(content))]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    damage_header,
    damage_table,
    noise_block,
    delete_block,
    double_block,
    swap_blocks,
    truncate,
)


def mutate(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A damaged copy, and how it was damaged: mostly once, sometimes in several ways."""
    damaged, names = bytearray(content), []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        mutation = rng.choice(MUTATIONS)
        names.append(mutation.__name__)
        damaged = mutation(damaged, rng) or bytearray(b"x")
    return "+".join(names), bytes(damaged)


def work(pipe: Connection) -> None:
    """Decode each path that comes; answer with an outcome and the process's memory in bytes."""
    from duetal.core.errors import DuetalError
    from duetal.video.decoding.video_reader import open_video

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (path := pipe.recv()) is not None:
        try:
            with open_video(path, threads=2) as video:
                outcome = "decoded"
                for frame in video.frames(short_side=64):
                    if frame.index >= MOST_FRAMES:
                        outcome = "stopped"
                        break
                else:
                    outcome = "decoded with notes" if video.decoded.notes else "decoded"
        except DuetalError as error:
            # Numbers apart, so that the outcomes can be counted.
            cause = "".join("#" if letter.isdigit() else letter for letter in error.cause)
            outcome = f"refused: {cause.split(':')[0].split('#')[0].strip()}"
            if "\n" in str(error) or not str(error).startswith(str(path)):
                outcome = f"FAULT message: {error!r}"
        except Exception as error:  # What the fuzzer is for.
            outcome = f"FAULT {type(error).__name__}: {error}"
        pipe.send((outcome, resident()))


def resident() -> int:
    """Memory of this process in bytes, without what it can return to the system."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Worker:
    """A process that decodes, replaced when it crashed or hung."""

    def __init__(self) -> None:
        self.memory: list[int] = []
        context = multiprocessing.get_context(START_METHOD)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs,))
        self._process.start()
        theirs.close()

    def run(self, path: Path) -> str:
        """The outcome; "FAULT ..." when the process did not survive."""
        self._pipe.send(path)
        if not self._pipe.poll(MOST_SECONDS + (0 if self.memory else FIRST_SECONDS)):
            return f"FAULT hang: more than {MOST_SECONDS} s"
        try:
            outcome, memory = self._pipe.recv()
        except EOFError:
            self._process.join()
            return f"FAULT crash: exit code {self._process.exitcode}"
        self.memory.append(memory)
        return str(outcome)

    def growth(self) -> float:
        """Bytes a run by which the memory grew after warming up; 0 while too early to know."""
        later = self.memory[WARM_UP:]
        if len(later) < LEAK_RUNS:
            return 0.0
        # Of the lowest in the first and in the last third: a large clip raises single runs.
        third = len(later) // 3
        return (min(later[-third:]) - min(later[:third])) / (len(later) - third)

    def stop(self) -> None:
        """End the process, however it is."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._pipe.close()


@dataclass
class Findings:
    """What the fuzzer found."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    runs: int = 0
    growth: float = 0.0

    def text(self) -> str:
        """The report."""
        lines = [f"{self.runs} runs, {len(self.faults)} faults"]
        lines += [f"{count:7d}  {outcome}" for outcome, count in self.outcomes.most_common()]
        lines.append(f"{self.growth / 1024:.1f} KiB a run is how much the worker grew")
        return "\n".join([*lines, *self.faults])


def fuzz(
    clips: Sequence[Path],
    keep: Path,
    *,
    seed: int,
    seconds: float = float("inf"),
    runs: int | None = None,
) -> Findings:
    """Decode damaged clips until the time or the number of runs is over."""
    contents = [clip.read_bytes() for clip in clips]
    findings, worker = Findings(), Worker()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and (runs is None or findings.runs < runs):
            rng = random.Random(f"{seed} {findings.runs}")
            number = rng.randrange(len(clips))
            mutation, content = mutate(contents[number], rng)
            path = keep / f"run{findings.runs}{clips[number].suffix}"
            path.write_bytes(content)
            outcome = worker.run(path)
            findings.runs += 1
            findings.outcomes[outcome] += 1
            if outcome.startswith("FAULT"):
                findings.faults.append(f"{path} ({mutation}): {outcome}")
            else:
                path.unlink()
            if outcome.startswith(("FAULT crash", "FAULT hang")):
                worker.stop()
                worker = Worker()
            findings.growth = max(findings.growth, worker.growth())
    finally:
        worker.stop()
    if findings.growth > MOST_GROWTH:
        findings.faults.append(f"FAULT leak: {findings.growth / 1024:.0f} KiB a run")
    return findings


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for what shows a fault")
    arguments = parser.parse_args()
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="duetal-fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    findings = fuzz(arguments.clips, keep, seed=arguments.seed, seconds=60 * arguments.minutes)
    print(findings.text())
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())
