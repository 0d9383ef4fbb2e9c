"""The questions of the paper's data annotation card (Appendix F.2), and the file in which people answer them."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sa_pipeline.errors import SettingsError, describe_validation_error

ANSWERS_FILE = "annotation.yaml"
"""In the home of a dataset; written by people, read by nothing but the card."""


class _Answers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _question(text: str) -> str | None:
    answer: str | None = Field(default=None, min_length=1, description=text)
    return answer


class TaskAnswers(_Answers):
    """Task formulation."""

    subjective: str | None = _question("What in the task is a matter of judgement?")
    assumptions: str | None = _question("What is assumed of the annotators?")
    wording: str | None = _question("How were the instructions written, and tried out, in pilot tasks for instance?")
    risks: str | None = _question("Which risks does the task hold for annotators, and were they told beforehand?")
    instructions: str | None = _question("What exactly are annotators told to do, and where are the guidelines?")


class PeopleAnswers(_Answers):
    """Selecting annotations."""

    sought: str | None = _question("Which views or skills were sought, and how?")
    avoided: str | None = _question("Which views would do harm here, and how were they kept out?")
    selection: str | None = _question("Did age, gender, origin or the like decide who was chosen?")
    annotators: str | None = _question("How many annotators were there, who are they, and may that show in their work?")
    communities: str | None = _question("Are those whom a model trained on this may touch among the annotators?")


class PlatformAnswers(_Answers):
    """Platform and infrastructure choices."""

    platform: str | None = _question("Which annotation platform was used, and why?")
    communication: str | None = _question("How could annotators ask, and how often were they given feedback?")
    pay: str | None = _question("What were annotators paid, and by which standard?")


class QualityAnswers(_Answers):
    """Dataset analysis and evaluation."""

    quality: str | None = _question("What is a good annotation here, and how was quality assessed?")
    disagreement: str | None = _question("Where did annotators disagree, and why?")
    responses: str | None = _question("How do the annotators' answers become the masks that are released?")


class ReleaseAnswers(_Answers):
    """Dataset release and maintenance."""

    changes: str | None = _question("Will the annotations change, and how will that be made known?")
    conditions: str | None = _question("Which conditions or definitions would, if they changed, make it less useful?")
    use: str | None = _question("Is its use limited or followed, and how?")
    informed: str | None = _question("Do annotators know how their work is made public, and hear of changes?")
    withdrawal: str | None = _question("How can annotators withdraw their work later?")


class AnnotationAnswers(_Answers):
    """What people say of how a dataset was annotated: a section each, all of it optional."""

    task: TaskAnswers = TaskAnswers()
    people: PeopleAnswers = PeopleAnswers()
    platform: PlatformAnswers = PlatformAnswers()
    quality: QualityAnswers = QualityAnswers()
    release: ReleaseAnswers = ReleaseAnswers()


def read_answers(home: Path) -> AnnotationAnswers:
    """Reads `annotation.yaml` in the home of a dataset; without the file, nothing is answered.

    Raises:
        SettingsError: The file is not YAML, or has a section or a question that the card does not know.
    """
    path = home / ANSWERS_FILE
    if not path.exists():
        return AnnotationAnswers()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not readable as YAML ({error}); mend it or delete it.") from None
    if values is None:
        return AnnotationAnswers()
    if not isinstance(values, dict):
        sections = ", ".join(AnnotationAnswers.model_fields)
        raise SettingsError(f"{path}: expected a mapping with the sections {sections}; mend it or delete it.")
    try:
        return AnnotationAnswers.model_validate(values)
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error, name=str(path))) from None
