#!/bin/sh
# Set up .venv for `make demo` (scripts/setup.sh demo) or for `make test` (scripts/setup.sh dev).
#
# Needs Python >= 3.11 and its venv module, nothing else; npm is used where it is. A torch that is already there, in .venv or
# beside the Python that is found (a GPU build, usually), is kept; otherwise the pinned one is installed.
set -eu
cd "$(dirname "$0")/.."

TORCH_PIN=torch==2.13.0
TORCH_MINIMUM=2.7
export PIP_DISABLE_PIP_VERSION_CHECK=1
kind=${1:-dev}
# On a terminal pip shows what it downloads.
quiet=--quiet
[ ! -t 2 ] || quiet=
python=.venv/bin/python

say() { echo "setup: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

# The first Python that runs and is new enough; PYTHON names one to prefer.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python >= 3.11 found (tried ${PYTHON:+$PYTHON, }python3, python3.13, python3.12, python3.11)." \
        "Install one, or name yours: make PYTHON=/path/to/python3 ..."
}

# The version of the torch that a Python imports, or nothing.
torch_of() {
    "$1" -c 'import torch; print(torch.__version__)' 2>/dev/null || true
}

is_new_enough() { # VERSION MINIMUM, such as 2.13.0+cpu 2.4
    "$python" - "$@" <<'PYTHON'
import re, sys
version, minimum = ([int(n) for n in re.findall(r"\d+", text)[:2]] for text in sys.argv[1:])
sys.exit(version < minimum)
PYTHON
}

# Let .venv see the packages of the Python it is made from. A .pth file does it for a system Python,
# a virtual environment and conda alike; `venv --system-site-packages` skips the last two.
share_packages_of() {
    "$1" - "$python" <<'PYTHON'
import importlib.util, pathlib, subprocess, sys
ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
site = subprocess.run([sys.argv[1], "-c", ask], check=True, capture_output=True, text=True).stdout
folders = [p for p in sys.path if p.rstrip("/").endswith(("site-packages", "dist-packages"))]
# A torch that runs from its source tree lies elsewhere.
folders.append(str(pathlib.Path(importlib.util.find_spec("torch").origin).parents[1]))
text = "\n".join(dict.fromkeys(folders)) + "\n"
pathlib.Path(site.strip(), "packages-beside-torch.pth").write_text(text)
PYTHON
}

make_environment() {
    base=$(find_python)
    say "making .venv with $("$base" --version)"
    "$base" -m venv .venv || fail "'$base -m venv .venv' failed. On Debian and Ubuntu the module is a package" \
        "of its own: apt-get install python3-venv (then remove .venv and run again)."
    found=$(torch_of "$base")
    if [ -z "$found" ]; then
        return
    elif is_new_enough "$found" "$TORCH_MINIMUM"; then
        say "keeping torch $found, which $base already has"
        share_packages_of "$base"
    else
        say "not using torch $found, which $base has: duetal needs $TORCH_MINIMUM or newer"
    fi
}

install_torch() {
    say "installing $TORCH_PIN; the download may take minutes"
    if [ "$(uname -s)" = Linux ] && [ -z "${PIP_INDEX_URL:-}${PIP_EXTRA_INDEX_URL:-}" ]; then
        say "from PyPI it brings gigabytes of CUDA libraries. Without a GPU, stop this and run again with" \
            "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu before make"
    fi
    # $quiet: nothing, or --quiet.
    "$python" -m pip install $quiet "$TORCH_PIN" || fail "$TORCH_PIN could not be installed. If pip found no" \
        "matching version, there is none for $("$python" --version) on $(uname -sm): install any torch" \
        ">= $TORCH_MINIMUM yourself ($python -m pip install torch) and run again; it will be kept." \
        "If pip could not connect, run again when the network is back."
}

case $kind in
demo) target='.[train]' ;;
dev) target='.[dev]' ;;
*) fail "usage: scripts/setup.sh [demo|dev]" ;;
esac

if ! "$python" -m pip --version >/dev/null 2>&1; then
    # No environment yet, or one without pip (left half-made, or made by a tool that has no need of it).
    "$python" -m ensurepip >/dev/null 2>&1 || make_environment
fi
torch=$(torch_of "$python")
if [ -z "$torch" ]; then
    install_torch
    torch=$(torch_of "$python")
    [ -n "$torch" ] || fail "torch is installed but does not import: $python -c 'import torch' says why."
fi
is_new_enough "$torch" "$TORCH_MINIMUM" ||
    fail "torch $torch in .venv is too old: duetal needs $TORCH_MINIMUM or newer."

say "installing duetal and what it needs ($kind); this may take minutes"
# The constraint forbids pip to replace the torch that is there, whatever a dependency asks for.
echo "torch==$torch" >.venv/torch-constraint.txt
"$python" -m pip install $quiet --constraint .venv/torch-constraint.txt --editable "$target" ||
    fail "pip could not install duetal; its message is above."
if [ "$kind" = dev ] && command -v npm >/dev/null; then
    say "installing what checks the pages' scripts (package.json)"
    npm ci --ignore-scripts --no-audit --no-fund --silent ||
        say "npm could not install it: the tests that need it will be skipped."
fi
touch .venv/setup-demo
[ "$kind" = demo ] || touch .venv/setup-dev
