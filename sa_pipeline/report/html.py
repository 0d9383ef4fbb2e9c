"""Pages from the templates beside this file."""

from typing import Any

import jinja2


def render(template: str, **values: Any) -> bytes:
    """Fills in a template of `report/templates`; every value is escaped, and one that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sa_pipeline.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(**values).encode()
