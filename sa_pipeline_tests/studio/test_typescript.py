"""The page's types follow the models."""

from sa_pipeline.studio.typescript import TYPES_PATH, typescript


def test_the_pages_types_are_those_of_the_models():
    assert TYPES_PATH.read_text(encoding="utf-8") == typescript(), "run `python -m sa_pipeline.studio.typescript`"
