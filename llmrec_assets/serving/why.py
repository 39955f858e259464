"""Why an item is recommended, in external names and in the user's language."""

from typing import Any

from llmrec_assets.core.behaviors import word
from llmrec_assets.core.copy_lines import CopyFacts, template_line
from llmrec_assets.core.explanations import Explanation, explain
from llmrec_assets.core.online import History, assemble
from llmrec_assets.core.sentences import Language, Past, sentence
from llmrec_assets.serving import times
from llmrec_assets.serving.copy_writer import CopyWriter
from llmrec_assets.serving.model import Model


def why(
    model: Model,
    history: History,
    item_id: str,
    language: Language,
    writer: CopyWriter | None = None,
) -> dict[str, Any]:
    """What speaks for an item of the catalogue; it scores the history many times.

    The line about it is by the template where there is no `writer`.
    """
    snapshot, code = model.snapshot, model.item_codes[item_id]
    sequences = assemble(snapshot, [history])
    found = explain(snapshot.scorer, sequences, 0, code, snapshot.item_vectors)
    names = ("", *model.info.behaviors)
    nearest = [{**_named(model, near), "similarity": likeness} for near, likeness in found.nearest]
    drivers = [
        {
            **_named(model, driver.item),
            "behavior": names[driver.behavior],
            "timestamp": times.written(driver.time, model.info.relative),
            "effect": driver.effect,
        }
        for driver in found.drivers
    ]
    past = _past(model, found, language)
    facts = _facts(model, code, past, language)
    return {
        "drivers": drivers,
        "parts": found.parts,
        "nearest": nearest,
        "sentence": sentence(language, past, found.parts, [str(n["title"]) for n in nearest]),
        "copy": template_line(facts) if writer is None else writer.line(facts).text,
    }


def _named(model: Model, code: int) -> dict[str, Any]:
    facts = model.facts[code]
    return {"item_id": facts["item_id"], "title": facts["title"]}


def _past(model: Model, found: Explanation, language: Language) -> list[Past]:
    names, dictionary = ("", *model.info.behaviors), model.info.dictionary
    return [
        Past(
            _title(model, driver.item),
            names[driver.behavior],
            word(names[driver.behavior], language, dictionary),
        )
        for driver in found.told
    ]


def _title(model: Model, code: int) -> str:
    return model.facts[code]["title"] or model.facts[code]["item_id"]


def _facts(model: Model, code: int, past: list[Past], language: Language) -> CopyFacts:
    """What a line may say of an item and of what speaks for it."""
    facts, first = model.facts[code], past[0] if past else Past("", "")
    price = facts["price"]
    return CopyFacts(
        title=_title(model, code),
        language=language,
        category=facts["category"] or "",
        brand=facts["brand"] or "",
        price="" if price is None else f"{price:g}",
        driver=first.title,
        behavior=first.behavior,
        word=first.word,
    )
