"""Finds the C++ compiler."""

import os
import shlex
import shutil


class NoCompilerError(RuntimeError):
    """There is no C++ compiler on this machine."""


def find_compiler() -> list[str]:
    """The C++ compiler's command: `$CXX`, else c++, g++ or clang++.

    Raises:
        NoCompilerError: none of them can be found, or `$CXX` has a quote without its other.
    """
    try:
        command = shlex.split(os.environ.get("CXX", ""))
    except ValueError as error:
        raise NoCompilerError(
            f"CXX is {os.environ['CXX']!r}, which is no command: {error}"
        ) from error
    for name in [command[0]] if command else ["c++", "g++", "clang++"]:
        if shutil.which(name):
            return [name, *command[1:]]
    raise NoCompilerError(
        f"no C++ compiler found ({command[0] if command else 'c++, g++ or clang++'}); install one"
        " (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install), or set CXX"
    )
