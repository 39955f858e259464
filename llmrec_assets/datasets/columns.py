"""Which column of a table is what: our names, and those under which they are often found."""

import re
from collections.abc import Sequence

COLUMNS = {
    "events": ("user_id", "item_id", "timestamp", "behavior", "event_id", "rating", "value",
               "session_id", "text", "context"),
    "items": ("item_id", "title", "category", "brand", "description", "price", "image_path",
              "audio_path"),
}  # fmt: skip
REQUIRED = {"events": ("user_id", "item_id", "timestamp"), "items": ("item_id",)}
# Names under which columns are often found, in lower case without separators.
SYNONYMS = {
    "user_id": ("user", "userid", "uid", "visitorid", "customerid", "customer", "用户", "用户id"),
    "item_id": ("item", "itemid", "iid", "productid", "product", "movieid", "asin", "parentasin",
                "sku", "newsid", "articleid", "videoid", "商品", "商品id", "物品", "物品id"),
    "timestamp": ("time", "ts", "date", "datetime", "unixreviewtime", "eventtime", "createdat",
                  "时间", "日期"),
    "behavior": ("event", "eventtype", "action", "type", "behaviour", "behaviortype", "行为"),
    "rating": ("score", "stars", "overall", "评分"),
    "session_id": ("session", "sessionid", "visit"),
    "text": ("review", "reviewtext", "comment", "评论"),
    "title": ("name", "itemname", "productname", "movietitle", "标题", "名称"),
    "category": ("categories", "genres", "genre", "class", "maincategory", "分类", "类别"),
    "brand": ("store", "maker", "品牌"),
    "description": ("abstract", "summary", "描述"),
    "price": ("cost", "价格"),
}  # fmt: skip


# RecBole's atomic files say the type behind the name: user_id:token.
_TYPE = re.compile(r":(token|float)(_seq)?$")


def guess(columns: Sequence[str], kind: str) -> dict[str, str]:
    """Our name → the file's, for all columns whose meaning their names tell."""
    found: dict[str, str] = {}
    bare = {_bare(_TYPE.sub("", column)): column for column in reversed(columns)}
    for name in COLUMNS[kind]:
        for known in (_bare(name), *SYNONYMS.get(name, ())):
            if known in bare and bare[known] not in found.values():
                found[name] = bare[known]
                break
    return found


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
