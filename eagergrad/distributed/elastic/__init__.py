"""PyTorch's place for what launchers and their programs share."""
