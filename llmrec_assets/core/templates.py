"""The text of an item by a template: what is encoded of it, as the user wrote it down.

A template is Jinja2 in a sandbox. What an item says is data to it, never a template of its own.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import Template, meta, nodes

from llmrec_assets.core.template_sandbox import (
    COUNTED,
    MAX_CHARACTERS,
    STEPS,
    Sandbox,
    refusal,
)
from llmrec_assets.core.template_values import TEXTS, variables_of

BUILT_IN = "built-in"
MAX_SOURCE = 10_000
VARIABLES = {"item_id", *TEXTS, "price", "attributes", "language"}
SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")  # half a character is none
ERRORS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

FULL = {name: f"sample {name}" for name in ("item_id", *TEXTS)} | {"price": 9.5, "attributes": "{}"}
BARE = {"item_id": "sample item_id"}


class TemplateError(ValueError):
    """A template that cannot be used, or a text it cannot make; the message names the line."""


@dataclass(frozen=True)
class Rendered:
    """The texts of some items, None where there is none, and which are not the template's."""

    texts: list[str | None]
    broken: list[bool]

    @property
    def fell_back(self) -> int:
        """How many are not the template's."""
        return sum(self.broken)


def label(source: str) -> str:
    """A name for the template: a hash of its source, or that there is none."""
    return hashlib.sha256(source.encode()).hexdigest()[:12] if source else BUILT_IN


def check(source: str) -> str:
    """`source`, if it is empty or a template.

    Raises:
        TemplateError: see `compile_template`.
    """
    if source:
        compile_template(source)
    return source


def compile_template(source: str) -> Template:
    """The template, after it has made a text of an item with everything and of one with nothing.

    Attributes are unknown here, so the sample items have none: a template has to ask for one
    before it does more than print it.

    Raises:
        TemplateError: it names the line and what is wrong.
    """
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"the template is longer than {MAX_SOURCE} characters")
    environment = Sandbox()
    try:
        tree = environment.parse(source)
        _check(tree, environment)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, COUNTED, [], [], None, None)
        template = environment.from_string(tree)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from error
    except (RecursionError, SyntaxError) as error:
        raise TemplateError(f"the template is nested too deeply ({error})") from error
    for item in (FULL, BARE):
        for language in ("en", "zh"):
            render_one(template, item, language)
    return template


def render(template: Template, rows: Iterable[Mapping[str, Any]], language: str) -> Rendered:
    """The text of each item.

    Each row has the columns of an item and `default_text`, which an item gets whose own values
    break the template.
    """
    texts: list[str | None] = []
    broken: list[bool] = []
    for row in rows:
        try:
            texts.append(render_one(template, row, language))
            broken.append(False)
        except TemplateError:
            texts.append(row["default_text"])
            broken.append(True)
    return Rendered(texts, broken)


def render_one(template: Template, row: Mapping[str, Any], language: str) -> str | None:
    """The text of one item on one line; None where nothing is left of it.

    Raises:
        TemplateError: its values break the template, or the text becomes too long.
    """
    written: list[str] = []
    characters = 0
    try:
        for piece in template.generate(variables_of(row) | {"language": language, STEPS: [0]}):
            characters += len(piece)
            if characters > MAX_CHARACTERS:
                raise jinja2.TemplateRuntimeError(
                    f"the text is longer than {MAX_CHARACTERS} characters"
                )
            written.append(piece)
    except ERRORS as error:
        line = _line(error)
        raise TemplateError(f"line {line}: {error}" if line else str(error)) from error
    return SPACE.sub(" ", "".join(written)).strip() or None


def _check(tree: nodes.Template, environment: Sandbox) -> None:
    for node in (tree, *tree.find_all(nodes.Node)):
        if reason := refusal(node, environment):
            raise jinja2.TemplateSyntaxError(reason, node.lineno)
    unknown = meta.find_undeclared_variables(tree) - VARIABLES - environment.globals.keys()
    for name in tree.find_all(nodes.Name):
        if name.name in unknown:
            raise jinja2.TemplateSyntaxError(
                f"unknown variable {name.name!r}; there are {', '.join(sorted(VARIABLES))}",
                name.lineno,
            )


def _line(error: BaseException) -> int | None:
    """The line of the template that was being rendered."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<template>":
            line = step.tb_lineno
        step = step.tb_next
    return line
