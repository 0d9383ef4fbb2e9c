"""What faults do, and what they leave: `docs/faults.md`."""
