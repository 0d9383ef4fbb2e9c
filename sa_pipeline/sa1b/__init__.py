"""The SA-1B record format: models, reader, writer, validator."""
