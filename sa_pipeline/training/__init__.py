"""Training: scenes, losses, simulated prompts, the loop."""
