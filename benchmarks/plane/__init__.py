"""A dataset of many shards without pixels, and what the control plane takes to look after it."""
