"""Images: sources, decoding, identity, shards."""
