"""Builds the compiled core; everything else about the project stands in pyproject.toml.

FASTSMTP_DEBUG_BUILD=1 turns on bounds checks, line tracing and the annotated HTML together.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTSMTP_DEBUG_BUILD") == "1"

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "linetrace": DEBUG,
}

EXTENSIONS = [
    Extension(
        "fastsmtp._core." + source.stem,
        [str(source)],
        define_macros=[("_GNU_SOURCE", "1")] + ([("CYTHON_TRACE", "1"), ("FASTSMTP_DEBUG", "1")] if DEBUG else []),
        extra_compile_args=["-O1" if DEBUG else "-O3"],
    )
    for source in sorted(Path("ext/fastsmtp/_core").glob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        include_path=["ext"],
        build_dir="build/debug" if DEBUG else "build",
        annotate=DEBUG,
        compiler_directives=DIRECTIVES,
    ),
)
