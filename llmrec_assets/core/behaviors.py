"""The behaviour dictionary: how a behaviour is said in a sentence, and how much it counts.

An impression is not in it: being shown an item is nothing a user did, so it never becomes
history. A behaviour that is in no dictionary is kept by the stages that meet it, with its own
name as its word, weight 1 and positive.

As a response to a list, a behaviour also has a role (what rates count it as), a kind of value (a
rating or seconds, which decide whether the one response is positive) and may hide its item.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EXPOSURE = "impression"
EXPOSURE_WORDS = {"曝光": EXPOSURE}
HINTS = {
    "words": 'give an object of language to verb, such as {"en": "buy", "zh": "购买"}',
    "weight": "give a number above 0, such as 1.5",
    "positive": "give true or false",
    "role": 'give "click", "conversion" or "other"',
    "value": 'give "rating", "seconds" or "other"',
    "hides": "give true or false",
}


class BehaviorDictionaryError(ValueError):
    """A behaviour dictionary that cannot be read; the message says where and how to mend it."""


class Behavior(BaseModel):
    """One kind of action."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    words: dict[str, str] = Field(default_factory=dict, description="Language to verb.")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="1 is usual.")
    positive: bool = Field(default=True, description="False where it speaks against the item.")
    role: Literal["click", "conversion", "other"] = Field(
        default="other", description="What it is in click-through and conversion."
    )
    value: Literal["rating", "seconds", "other"] = Field(
        default="other", description="What the value of such a response is."
    )
    hides: bool = Field(default=False, description="True where the user wants no more of the item.")


def _behavior(en: str, zh: str, weight: float = 1.0, **fields: Any) -> Behavior:  # noqa: ANN401
    return Behavior(words={"en": en, "zh": zh}, weight=weight, **fields)


DEFAULT_BEHAVIORS: dict[str, Behavior] = {
    "browse": _behavior("browse", "浏览", 0.5),
    "view": _behavior("view", "查看", 0.5, role="click"),
    "click": _behavior("click", "点击", role="click"),
    "dwell": _behavior("spend time on", "停留", 0.5, value="seconds"),
    "search": _behavior("search for", "搜索"),
    "cart": _behavior("add to cart", "加入购物车", 1.5),
    "favorite": _behavior("favorite", "收藏", 1.5),
    "buy": _behavior("buy", "购买", 2.0, role="conversion"),
    "purchase": _behavior("purchase", "购买", 2.0, role="conversion"),
    "rate": _behavior("rate", "评分", value="rating"),
    "review": _behavior("review", "评价", value="rating"),
    "like": _behavior("like", "点赞", 1.5),
    "comment": _behavior("comment on", "评论"),
    "share": _behavior("share", "分享", 1.5),
    "follow": _behavior("follow", "关注", 1.5),
    "read": _behavior("read", "阅读", role="click", value="seconds"),
    "play": _behavior("play", "播放", role="click", value="seconds"),
    "listen": _behavior("listen to", "收听", role="click", value="seconds"),
    "watch": _behavior("watch", "观看", role="click", value="seconds"),
    "download": _behavior("download", "下载"),
    "skip": _behavior("skip", "跳过", 0.5, positive=False),
    "dislike": _behavior("dislike", "不喜欢", positive=False, hides=True),
    "not_interested": _behavior("not be interested in", "不感兴趣", positive=False, hides=True),
    "unlike": _behavior("unlike", "取消点赞", positive=False),
    "unfavorite": _behavior("unfavorite", "取消收藏", positive=False),
    "unfollow": _behavior("unfollow", "取消关注", positive=False),
    "uncart": _behavior("remove from cart", "移出购物车", positive=False),
    "return": _behavior("return", "退货", positive=False),
}


def load_behaviors(text: str | None) -> dict[str, Behavior]:
    """The default behaviours, with those of a JSON object laid over them.

    An entry may give any of the fields of `Behavior`. What it leaves out stays as the default
    says, words language by language; a new behaviour starts from no words, weight 1 and positive.

    Raises:
        BehaviorDictionaryError: it names the behaviour, the field and how to mend it.
    """
    behaviors = dict(DEFAULT_BEHAVIORS)
    for written, entry in _parse(text).items():
        name = written.strip().lower()  # as behaviours of events are
        behaviors[name] = _overlay(name, behaviors.get(name, Behavior()), entry)
    return behaviors


def word(
    behavior: str, language: str, behaviors: Mapping[str, Behavior] = DEFAULT_BEHAVIORS
) -> str:
    """The verb of `behavior` in `language`; else the English one; else the behaviour's own name."""
    words = behaviors[behavior].words if behavior in behaviors else {}
    return words.get(language) or words.get("en") or behavior


def names(behaviors: Mapping[str, Behavior] = DEFAULT_BEHAVIORS) -> dict[str, str]:
    """Every name and word, in lower case, to the behaviour it means; the first where several do.

    A service may so send `不感兴趣` or `add to cart`. `impression` is among them.
    """
    words: dict[str, str] = {}
    for name, known in behaviors.items():
        for said in known.words.values():
            words.setdefault(said.lower(), name)
    return words | EXPOSURE_WORDS | {name: name for name in (EXPOSURE, *behaviors)}


def in_role(
    role: Literal["click", "conversion"], behaviors: Mapping[str, Behavior] = DEFAULT_BEHAVIORS
) -> list[str]:
    """The behaviours that count as clicks, or as conversions."""
    return sorted(name for name, known in behaviors.items() if known.role == role)


def hiding(behaviors: Mapping[str, Behavior] = DEFAULT_BEHAVIORS) -> list[str]:
    """The behaviours after which their item is not shown to the user again."""
    return sorted(name for name, known in behaviors.items() if known.hides)


def _parse(text: str | None) -> dict[str, object]:
    if text is None or not text.strip():
        return {}
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        raise BehaviorDictionaryError(
            f"the behaviour dictionary is not JSON: {error.msg} in line {error.lineno}, column"
            f" {error.colno}; mend that place or check the file with `python -m json.tool`"
        ) from error
    if not isinstance(parsed, dict):
        raise BehaviorDictionaryError(
            "the behaviour dictionary has to be one JSON object of behaviour to fields, such as"
            ' {"buy": {"weight": 2}}'
        )
    return parsed


def _overlay(name: str, base: Behavior, entry: object) -> Behavior:
    if name == EXPOSURE or not name.strip():
        raise BehaviorDictionaryError(
            f"behaviour {name!r}: an exposure or an empty name is not something a user did and"
            " never becomes history; take this entry out"
        )
    if not isinstance(entry, dict):
        raise BehaviorDictionaryError(
            f"behaviour {name!r}: expected an object of fields, got {entry!r}; write it such as"
            f' {{"{name}": {{"weight": 2}}}}'
        )
    try:
        given = Behavior.model_validate(entry)
    except ValidationError as error:
        raise BehaviorDictionaryError(_explain(name, error)) from error
    update = given.model_dump(exclude_unset=True) | {"words": base.words | given.words}
    return base.model_copy(update=update)


def _explain(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0])
    mend = HINTS.get(field, f"take it out: the fields are {', '.join(HINTS)}")
    path = ".".join(map(str, first["loc"]))
    return f"behaviour {name!r}, field {path!r}: {first['msg']} (got {first['input']!r}); {mend}"
