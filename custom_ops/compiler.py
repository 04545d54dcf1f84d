"""Finds the C++ compiler."""

import os
import shlex
import shutil


class NoCompilerError(RuntimeError):
    """There is no C++ compiler on this machine."""


def find_compiler() -> list[str]:
    """The C++ compiler's command: `$CXX`, else c++, g++ or clang++.

    Raises:
        NoCompilerError: none of them can be found.
    """
    command = shlex.split(os.environ.get("CXX", ""))
    for name in [command[0]] if command else ["c++", "g++", "clang++"]:
        if shutil.which(name):
            return [name, *command[1:]]
    raise NoCompilerError(
        f"no C++ compiler found ({command[0] if command else 'c++, g++ or clang++'}); install one"
        " (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install), or set CXX"
    )
