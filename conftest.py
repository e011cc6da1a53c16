"""Lets the tests import the installed package from a checkout that was not built in place.

`python -m pytest` puts the checkout first on the import path; without a compiled extension in it, its
eagergrad/ would hide the installed one. After an in-place build, the checkout itself is tested.
"""

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if not any((ROOT / "eagergrad" / f"_C{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT] + [str(ROOT)]
