"""The whole job on simulated features: what `make demo` runs.

Makes up the annotation of 90 videos, then calls duetal's own commands, each printed before it runs,
so that they can be tried by hand: simulate, check, and train, which ends with scores and a report.
Nothing is downloaded. Everything lies in the folder `demo`, made anew each time.
"""

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from duetal.formats.activitynet import write_annotations
from duetal.simulation.world import made_up_annotations

DEMO = Path("demo")
PROGRAM = Path(sys.executable).with_name("duetal")
#: What an earlier demo leaves; nothing else in the folder is touched.
OWN = ("annotations.json", "dataset", "run", "detections.json")


def main() -> None:
    """Run the demo in the current folder."""
    began = time.monotonic()
    remove_earlier()
    write_annotations(DEMO / "annotations.json", made_up_annotations())
    print(f"made up: {DEMO / 'annotations.json'}, 60 training and 30 test videos of 5 classes")
    # Hard enough that neither branch does well alone.
    hard = ("--difficulty", "0.9")
    duetal("simulate", DEMO / "annotations.json", "--out", DEMO / "dataset", *hard)
    duetal("check", DEMO / "dataset")
    duetal("train", "demo", f"dataset={DEMO / 'dataset'}", "--out", DEMO / "run")
    seconds = time.monotonic() - began
    print(f"\nAll of it took {seconds:.0f} s. The features are simulated: the scores show that the")
    print("parts work together, and say nothing of real videos. Go on with")
    print(f"  duetal localize {DEMO}/run {DEMO}/dataset --out {DEMO}/detections.json --branch both")
    if shutil.which("duetal") is None:
        print(f"(the command is {PROGRAM}; in a shell, . {PROGRAM.parent}/activate makes it known)")
    print(f"or open the report in a browser: {(DEMO / 'run' / 'report.html').absolute()}")


def remove_earlier() -> None:
    """Remove the files and folders that an earlier demo made."""
    for name in OWN:
        path = DEMO / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def duetal(*words: str | Path) -> None:
    """Print a command and run it; stop with its exit code if it fails."""
    arguments = list(map(str, words))
    print(f"\n$ duetal {shlex.join(arguments)}", flush=True)
    code = subprocess.run([PROGRAM, *arguments], check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
