"""The files of `deploy/`, and a run through them on a real cluster."""
