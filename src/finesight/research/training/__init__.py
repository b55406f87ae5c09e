"""Training: one run for all that is trained, and a folder for each thing that is."""
