"""Errors that a person can act on: what was wrong, where, what was expected, what to do."""


class SaPipelineError(Exception):
    """Base of every error that sa_pipeline raises on purpose; its text is one sentence for the user."""


class SettingsError(SaPipelineError):
    """A setting has a wrong name or value."""


class StorageError(SaPipelineError):
    """A file could not be read from or written to storage."""


class LedgerBusyError(StorageError):
    """Somebody else appended images at the same time."""


class ArtifactError(SaPipelineError):
    """A file made by the pipeline is missing, damaged or of another schema version."""


class SourceError(SaPipelineError):
    """The source of images does not exist or cannot be listed."""


class CheckpointError(SaPipelineError):
    """A model checkpoint is unknown, missing, damaged or of another architecture."""


class RecordError(SaPipelineError):
    """An SA-1B record does not follow the format."""


class AnnotationError(SaPipelineError):
    """Images with reference masks are missing, damaged or of another format than expected."""


class CatalogError(SaPipelineError):
    """The catalogue does not exist or a query against it failed."""
