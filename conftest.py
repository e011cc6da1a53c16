"""Lets the tests import the installed package from a checkout that was not built in place.

`python -m pytest` puts the checkout first on the import path; without a compiled extension in it, its
eagergrad/ would hide the installed one. After an in-place build, the checkout itself is tested.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if not any((ROOT / "eagergrad").glob("_C.*")):
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT] + [str(ROOT)]
