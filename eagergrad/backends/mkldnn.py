"""oneDNN, which eagergrad does without."""


def is_available() -> bool:
    """Return False: oneDNN is not used."""
    return False
