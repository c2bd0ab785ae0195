# SPDX-License-Identifier: Apache-2.0
"""Says what was tried in a machine and what came out."""
import contextlib
import sys
import time
import traceback

_failed = 0
_passed = 0


@contextlib.contextmanager
def case(what, needed=False):
    """What is tried in here fails alone, and the next is tried all the same, unless that needs
    it."""
    global _failed, _passed
    begin = time.monotonic()
    try:
        yield
        _passed += 1
        print(f"PASS: {what} ({time.monotonic() - begin:.0f} s)", flush=True)
    except Exception:  # pylint: disable=broad-except
        _failed += 1
        print(f"FAIL: {what}", flush=True)
        traceback.print_exc()
        if needed:
            end()


def end():
    """Ends the program with what all of it says."""
    print(f"{_passed} passed, {_failed} failed", flush=True)
    sys.exit(1 if _failed or not _passed else 0)


def check(condition, what):
    """An assertion that python's optimiser leaves in place."""
    if not condition:
        raise AssertionError(what)
