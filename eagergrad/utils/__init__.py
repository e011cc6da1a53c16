"""What stands beside the tensor: data loading, checkpointing, logging."""
