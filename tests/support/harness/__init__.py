"""What the tests in Python share: the server as a process, its protocols, model repositories made
on the spot.
"""

import importlib.util
import os
import sys
import unittest

# CTest shows a test that ends so as skipped.
SKIPPED = 77


def build_path(name):
    """Path of a program of the build."""
    return os.path.join(os.environ["TANDEM_BUILD_DIR"], name)


def source_path(name):
    """Path of a file of the sources."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.normpath(os.path.join(here, "..", "..", "..", name))


def has_torch():
    """Whether this Python has torch, which takes seconds to import."""
    return importlib.util.find_spec("torch") is not None


def main():
    """Runs the tests of the calling file. Exit code: 0 passed, 1 failed, SKIPPED where none could
    run.
    """
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful() or result.testsRun == 0:
        sys.exit(1)
    sys.exit(SKIPPED if len(result.skipped) == result.testsRun else 0)
