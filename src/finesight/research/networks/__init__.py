"""PyTorch modules, one per file, each citing where its equations come from."""
