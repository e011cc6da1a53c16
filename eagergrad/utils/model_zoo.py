"""The old name of `eagergrad.hub.load_state_dict_from_url`."""

from eagergrad import hub
from eagergrad.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]


def __getattr__(name: str) -> object:
    if name == "tqdm":
        return hub.tqdm
    raise AttributeError(f"module 'eagergrad.utils.model_zoo' has no attribute {name!r}")
