"""What a run ran on: versions, processors, memory. Kept with every run and printed by `doctor`."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duetal
from duetal.core.errors import first_line

#: Distributions whose versions a bug report needs; torch is reported apart.
PACKAGES = ("numpy", "numba", "transformers", "safetensors", "lightning-fabric", "h5py", "pydantic")
EXTRAS = ("tensorboard",)
#: Variables that change results or speed. Others are the user's own affair.
VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "HF_HUB_OFFLINE",
    "MKL_NUM_THREADS",
    "NUMBA_DISABLE_JIT",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
)
GIB = 2**30


def collect() -> dict[str, Any]:
    """Describe this environment as JSON values.

    A part that is missing or broken is described as such; nothing is raised. The user's home
    folder is written `~`, so that the result can be published.
    """
    return {
        "duetal": duetal.__version__,
        **_checkout(),
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "virtual_environment": sys.prefix != sys.base_prefix,
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        # Fewer than the machine's in a container or a cluster job.
        "cpus_usable": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gib": _gib(lambda: os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
        # Where the command was called; the report does not name the folder.
        "disk_free_gib": _gib(lambda: shutil.disk_usage(Path.cwd()).free),
        "torch": _torch(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {name: _version(name) for name in EXTRAS},
        "variables": {
            name: _hide_home(os.environ[name]) for name in VARIABLES if name in os.environ
        },
    }


def _checkout() -> dict[str, Any]:
    """Commit of the source checkout that is running; nothing for an installed package."""
    root = Path(duetal.__file__).parents[2]
    # Without this check, an environment inside another project's checkout would give its commit.
    if not (root / ".git").exists() or not (root / "src" / "duetal").is_dir():
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed_since_commit": None if changes is None else changes != ""}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            # A report must not touch the checkout, not even to refresh git's index.
            ["git", "--no-optional-locks", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _gib(measure: Callable[[], int]) -> float | None:
    """Bytes in GiB; None where the system does not report them."""
    try:
        return round(measure() / GIB, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _torch() -> dict[str, Any]:
    """PyTorch and the devices it sees, or why it can't be imported."""
    try:
        import torch

        return {
            "version": str(torch.__version__),
            "threads": torch.get_num_threads(),
            "cuda": torch.version.cuda,
            "devices": [
                f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB"
                for gpu in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
            ],
            "mps": torch.backends.mps.is_available(),
        }
    except Exception as error:  # a broken build or driver fails in any way it likes
        return {
            "version": None,
            "error": _hide_home(f"{type(error).__name__}: {first_line(error)}"),
        }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hide_home(text: str) -> str:
    home = str(Path.home())
    return text if home == os.sep else text.replace(home, "~")
