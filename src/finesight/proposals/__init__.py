"""Proposer: pixels, an encoder and a budget to boxes and embeddings."""
