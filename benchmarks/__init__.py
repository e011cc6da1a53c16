"""Speed and memory of eagergrad beside PyTorch. `python -m benchmarks` prints the table."""

import sys
from pathlib import Path

# As in conftest.py: from a checkout that was not built in place, measure the installed package.
_root = Path(__file__).resolve().parents[1]
if not any((_root / "eagergrad").glob("_C.*")):
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != _root] + [str(_root)]
