"""The older launcher: `run`, which tells a program its number also as the argument ``--local-rank=N``.

``--use_env`` leaves the argument away.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import run

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run.launcher_parser()
    parser.set_defaults(pass_local_rank=True)
    parser.add_argument(
        "--use_env", "--use-env", dest="pass_local_rank", action="store_false", help="no argument"
    )
    run.main(args, parser)


if __name__ == "__main__":
    main()
