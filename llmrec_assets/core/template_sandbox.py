"""What a template may do: the statements, filters and methods that cannot run away or reach out.

A template is written by whoever runs the pipeline, yet a slip of it must not hang or fill the
memory of a run. So there is no assignment and no macro, loops are counted, and what could make a
long text out of a short one is bounded.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import Environment, StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmrec_assets.core.template_values import Missing

MAX_CHARACTERS = 20_000  # of a rendered text, and of any text on the way there
MAX_STEPS = 10_000  # of all loops and ranges of one rendering together
MAX_DIGITS = 10
# Names with a space: no template can write them.
STEPS = "steps taken"  # in the context of a rendering
COUNTED = "counted loop"  # a filter

FILTER_NAMES = [
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items",
    "last", "length", "list", "lower", "map", "max", "min", "reject", "select", "sort", "string",
    "striptags", "title", "trim", "truncate", "unique", "upper", "wordcount",
]  # fmt: skip
GUARDED = ["join", "replace", "round"]
METHODS = {
    str: [
        "capitalize", "casefold", "count", "endswith", "find", "isdigit", "lower", "lstrip",
        "removeprefix", "removesuffix", "rstrip", "split", "splitlines", "startswith", "strip",
        "title", "upper",
    ],
    dict: ["get", "items", "keys", "values"],
}  # fmt: skip
STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If)
REFUSED = (nodes.Pow, nodes.Mod, nodes.MarkSafe, nodes.MarkSafeIfAutoescape)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates."""

    intercepted_binops = frozenset({"*"})

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            optimized=False,  # else a constant expression is computed before it has a line
            finalize=lambda value: "" if value is None else value,
        )
        self.globals = {"range": _range}
        guarded = {"join": _join, "replace": _replace, "round": _round, COUNTED: _counted}
        self.filters = {name: FILTERS[name] for name in FILTER_NAMES} | guarded
        self.tests["none"] = lambda value: value is None or isinstance(value, Missing)

    def is_safe_callable(self, obj: object) -> bool:
        """Range, and the listed methods of texts and attributes."""
        owner = getattr(obj, "__self__", None)
        names = METHODS.get(dict if isinstance(owner, dict) else type(owner), [])
        return obj is _range or getattr(obj, "__name__", None) in names

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # pyright: ignore
        """Call what is safe to call; the error has no address of memory in it."""
        if not self.is_safe_callable(obj):
            raise SecurityError(f"{getattr(obj, '__name__', 'this')!r} cannot be called")
        return context.call(obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Multiply numbers, not texts."""
        if isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple):
            raise SecurityError("only numbers can be multiplied")
        return super().call_binop(context, operator, left, right)


def refusal(node: nodes.Node, environment: Environment) -> str | None:
    """Why a template may not hold `node`; None where it may."""
    if isinstance(node, nodes.Stmt) and not isinstance(node, STATEMENTS):
        return f"a template has no {type(node).__name__.lower()}: only {{{{ … }}}}, if and for"
    if isinstance(node, REFUSED):
        return f"{type(node).__name__.lower()} is not allowed"
    if isinstance(node, nodes.Filter) and node.name not in environment.filters:
        return f"no filter {node.name!r}; there are {', '.join(sorted(FILTER_NAMES + GUARDED))}"
    if isinstance(node, nodes.Name) and node.name in ("self", "super"):
        return f"{node.name!r} is not allowed"
    if isinstance(node, nodes.For) and node.recursive:
        return "a loop cannot be recursive"
    if isinstance(node, nodes.For) and len(list(node.find_all(nodes.For))) > 1:
        return "loops are nested more than twice"
    name = node.attr if isinstance(node, nodes.Getattr) else None
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    if isinstance(name, str) and name.startswith("__"):
        return f"access to {name!r} is unsafe"
    return None


def _bounded(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise TemplateRuntimeError(f"a text is longer than {MAX_CHARACTERS} characters")


def _charge(context: Context, steps: int) -> None:
    context[STEPS][0] += steps
    if context[STEPS][0] > MAX_STEPS:
        raise TemplateRuntimeError(f"loops and ranges take more than {MAX_STEPS} steps")


@pass_context
def _range(context: Context, *limits: int) -> range:
    _charge(context, len(numbers := range(*limits)))
    return numbers


@pass_context
def _counted(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    """The values of a loop, as long as the rendering has steps left."""
    for value in values:
        _charge(context, 1)
        if isinstance(value, str):
            _bounded(len(value))
        yield value


def _join(values: Iterable[Any], separator: str = "") -> str:
    texts = [str(value) for value in values]
    _bounded(sum(map(len, texts)) + len(texts) * len(separator))
    return separator.join(texts)


def _replace(text: Any, old: str, new: str) -> str:  # noqa: ANN401
    _bounded(len(text := str(text)) + text.count(old) * len(new))
    return text.replace(old, new)


def _round(number: float, digits: int = 0) -> float:
    if not 0 <= digits <= MAX_DIGITS:
        raise TemplateRuntimeError(f"round takes 0 to {MAX_DIGITS} digits")
    return round(number, digits) if digits else round(number)
