"""Settings of PyTorch's compiler, of any name: they change nothing."""

from eagergrad._dynamo.settings import patch_of

patch = patch_of(__name__)
