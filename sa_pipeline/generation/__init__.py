"""The automatic stage as plain functions: candidates, verdicts, deduplication."""
