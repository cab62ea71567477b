#!/bin/sh
# A virtual environment with the CPU build of torch: uv where it can be had, else pip alone.
set -eu
: "${PY:=python3}" "${VENV:=.venv}" "${UV_VERSION:?}" "${TORCH:?}"
BIN="$VENV/bin"
WHAT=".[train,serve,dev]"

# uv brings its own list of certificates; companies sign with theirs, which the system knows.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

say() { echo "setup: $*" >&2; }

"$PY" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "stocktake needs Python 3.11 or newer, $PY is $("$PY" --version 2>&1); try make PY=python3.12"
    exit 2
}
[ -x "$BIN/python" ] || "$PY" -m venv "$VENV"

install() { # install ARGS...: uv if it is there, else pip; both read constraints.txt
    if [ -x "$BIN/uv" ] && VIRTUAL_ENV="$VENV" "$BIN/uv" pip install -q -c constraints.txt "$@"; then
        return 0
    fi
    "$BIN/python" -m pip install -q --disable-pip-version-check -c constraints.txt "$@"
}

# A local version (2.13.0+cpu) sorts above the index's plain one, which on Linux is the CUDA build
# of several GB: ask for it by name first.
torch() {
    [ "${CUDA:-}" = 1 ] && install "torch==$TORCH" && return 0
    [ "$(uname -s)" != Linux ] && install "torch==$TORCH" && return 0
    install "torch==$TORCH+cpu" 2>"$VENV/torch.log" && return 0
    if [ -n "${TORCH_INDEX:-}" ]; then
        "$BIN/python" -m pip install -q --index-url "$TORCH_INDEX" "torch==$TORCH+cpu" && return 0
        say "TORCH_INDEX has no torch $TORCH+cpu for this machine"
        return 1
    fi
    say "pip's links and indexes hold no CPU build of torch $TORCH (see $VENV/torch.log);"
    say "taking the usual index's CUDA build, several GB, which works without a GPU too."
    say "To have the small one, stop and give an index that has it: TORCH_INDEX=URL make setup"
    install "torch==$TORCH"
}

"$BIN/python" -m pip install -q --disable-pip-version-check "uv==$UV_VERSION" 2>/dev/null ||
    say "uv could not be had; pip alone works too, only slower"
torch
install -e "$WHAT"
