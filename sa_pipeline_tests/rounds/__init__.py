"""The circle of rounds: people's masks, training sets, checkpoints, promotion."""
