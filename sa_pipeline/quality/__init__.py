"""What a healthy shard looks like: plain functions behind the asset checks."""
