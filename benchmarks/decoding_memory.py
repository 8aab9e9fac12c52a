"""Memory of decoding against the length of the video.

    OMP_NUM_THREADS=1 python benchmarks/decoding_memory.py
    OMP_NUM_THREADS=1 python benchmarks/decoding_memory.py --hours 10

Loops a small rendered clip to videos of 10 seconds, 10 minutes, 1 hour (and more), decodes each to
its end at 25 frames a second in a process of its own, and prints that process's peak resident
memory, beside that of a process that only imports the decoder, and the ratio to the shortest video.
What grows is the table of contents of an MP4, which FFmpeg reads whole.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av

from duetal.core.grid import TimeGrid
from duetal.simulation.clips import render_clip

CLIP_SECONDS = 10
SIZE = (96, 64)
#: Decodes its argument, if there is one, and prints frames, seconds and peak memory in KiB.
DECODE = """
import json, pathlib, re, resource, sys, time
from duetal.video.decoding.video_reader import open_video
begin, frames = time.perf_counter(), 0
if len(sys.argv) > 1:
    with open_video(sys.argv[1]) as video:
        for frame in video.frames(short_side=64):
            pass
        frames = video.decoded.frames
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = pathlib.Path("/proc/self/status")
if status.exists():  # On Linux the number above begins with the parent's.
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
print(json.dumps([frames, time.perf_counter() - begin, peak]))
"""


def loop(clip: Path, video: Path, times: int) -> None:
    """Write the pictures of a clip one after the other so many times."""
    with av.open(str(clip)) as inside, av.open(str(video), "w") as outside:
        stream = inside.streams.video[0]
        copy = outside.add_stream_from_template(stream)
        packets = [
            (bytes(packet), packet.pts, packet.dts, packet.is_keyframe)
            for packet in inside.demux(stream)
            if packet.dts is not None and packet.pts is not None
        ]
        assert stream.time_base is not None
        length = round(CLIP_SECONDS / stream.time_base)
        for number in range(times):
            for content, pts, dts, is_keyframe in packets:
                packet = av.Packet(content)
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.time_base, packet.is_keyframe = stream.time_base, is_keyframe
                packet.stream = copy
                outside.mux(packet)


def measure(*arguments: str) -> tuple[int, float, float]:
    """Frames, seconds and peak memory in MiB of decoding in a fresh process."""
    command = [sys.executable, "-c", DECODE, *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    frames, seconds, peak = json.loads(output)
    return frames, seconds, peak / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, help="one more video, of this length")
    hours = parser.parse_args().hours
    lengths = [10, 600, 3600, *([round(hours * 360) * 10] if hours else [])]
    _, _, imported = measure()
    print(f"importing the decoder alone: {imported:.1f} MiB")
    print("container  seconds   frames  file MiB  peak MiB  ratio")
    with tempfile.TemporaryDirectory() as folder:
        clip = render_clip(Path(folder, "clip.mp4"), duration=CLIP_SECONDS, size=SIZE, b_frames=2)
        for suffix in ("mp4", "mkv"):
            shortest = 0.0
            for length in lengths:
                video = Path(folder, f"video.{suffix}")
                loop(clip, video, length // CLIP_SECONDS)
                frames, _, peak = measure(str(video))
                assert frames == TimeGrid().frames(length)
                shortest = shortest or peak
                size = video.stat().st_size / 2**20
                row = f"{suffix:>9} {length:8d} {frames:8d} {size:9.1f} {peak:9.1f}"
                print(f"{row} {peak / shortest:6.2f}", flush=True)


if __name__ == "__main__":
    main()
