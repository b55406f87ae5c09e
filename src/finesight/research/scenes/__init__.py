"""CLEVR-like scenes: objects, sampling, Blender rendering and exact annotation."""
