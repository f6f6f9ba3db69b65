#!/bin/sh
# Says in one line what is missing to build fastsmtp with the interpreter $1, and which Debian packages bring it.
python=${1:-python3}
missing=
if ! command -v "$python" >/dev/null 2>&1; then
    echo "fastsmtp: $python is not installed; on Debian: apt install python3 python3-venv python3-dev gcc" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "fastsmtp: $python is older than Python 3.11; name a newer one: make PYTHON=python3.11" >&2
    exit 1
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
"$python" - <<'END' || missing="$missing python3-dev"
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
END
command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
if [ -n "$missing" ]; then
    echo "fastsmtp: to build, these Debian packages are missing: apt install$missing" >&2
    exit 1
fi
