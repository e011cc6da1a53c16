"""Speed and memory of eagergrad beside PyTorch. `python -m benchmarks` prints the table."""

import conftest  # noqa: F401  (from a checkout that was not built in place, the installed package is measured)
