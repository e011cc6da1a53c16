"""Intel's MKL, which eagergrad does without."""


def is_available() -> bool:
    """Return False: Intel's MKL is not used."""
    return False
