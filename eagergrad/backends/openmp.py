"""OpenMP, which eagergrad does without."""


def is_available() -> bool:
    """Return False: OpenMP is not used."""
    return False
