"""Public data sets in the form in which they are published, as queries of events and of items.

Each query reads one file, `$path`. Columns are those of the landing zone.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One kind of file of a data set."""

    kind: str  # events or items
    pattern: str  # of its name, in the folder or below
    query: str  # of the file $path


@dataclass(frozen=True)
class PublicFormat:
    """A data set; where several parts match, all are read."""

    about: str
    parts: tuple[Part, ...]


def _csv(columns: str, options: str) -> str:
    """read_csv of text columns named one after the other."""
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in columns.split())
    return f"read_csv($path, columns = {{{types}}}, auto_detect = false, {options})"


_BAR = "delim = '|', header = false, quote = '', encoding = 'latin-1'"
_TAB = "delim = '\t', header = false, quote = ''"
_GENRES = (
    "unknown Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Noir"
    " Horror Musical Mystery Romance SciFi Thriller War Western"
)

# https://files.grouplens.org/datasets/movielens: the csv form (ml-latest, ml-25m, ml-32m), the
# form of 100k, and that of 1m and 10m, whose fields are separated by two colons.
_DOUBLE_COLON = (
    "read_csv($path, columns = {'line': 'VARCHAR'}, auto_detect = false, delim = '\x01',"
    " header = false, quote = '', encoding = 'latin-1')"
)
MOVIELENS = PublicFormat(
    "MovieLens: ratings.csv and movies.csv, or u.data and u.item, or ratings.dat and movies.dat",
    (
        Part("events", "ratings.csv", """
            select userId::varchar as user_id, movieId::varchar as item_id, timestamp, rating,
                'rate' as behavior from read_csv($path, header = true)"""),
        Part("items", "movies.csv", """
            select movieId::varchar as item_id, title, replace(genres, '|', ', ') as category
            from read_csv($path, header = true, quote = '"', escape = '"')"""),
        Part("events", "u.data", f"""
            select user_id, item_id, timestamp::bigint as timestamp, rating::double as rating,
                'rate' as behavior from {_csv("user_id item_id rating timestamp", _TAB)}"""),
        Part("items", "u.item", f"""
            select item_id, title, nullif(concat_ws(', ', {", ".join(
                f"case when {genre} = '1' then '{genre}' end" for genre in _GENRES.split()
            )}), '') as category
            from {_csv(f"item_id title released video url {_GENRES}", _BAR)}"""),
        Part("events", "ratings.dat", f"""
            select part[1] as user_id, part[2] as item_id, part[4]::bigint as timestamp,
                part[3]::double as rating, 'rate' as behavior
            from (select string_split(line, '::') as part from {_DOUBLE_COLON})"""),
        Part("items", "movies.dat", f"""
            select part[1] as item_id, part[2] as title, replace(part[3], '|', ', ') as category
            from (select string_split(line, '::') as part from {_DOUBLE_COLON})"""),
    ),
)  # fmt: skip

# https://amazon-reviews-2023.github.io: one file of reviews and one of items a category.
_JSON = "read_json($path, format = 'newline_delimited', columns = {{{}}})"
AMAZON_REVIEWS_2023 = PublicFormat(
    "Amazon Reviews 2023: CATEGORY.jsonl.gz and meta_CATEGORY.jsonl.gz",
    (
        Part("items", "meta_*.jsonl*", f"""
            select parent_asin as item_id, title, array_to_string(categories, ', ') as category,
                store as brand, array_to_string(description || features, ' ') as description,
                try_cast(regexp_extract(price, '[0-9]+([.][0-9]+)?') as double) as price
            from {_JSON.format("parent_asin: 'VARCHAR', title: 'VARCHAR', categories: 'VARCHAR[]',"
                " store: 'VARCHAR', description: 'VARCHAR[]', features: 'VARCHAR[]',"
                " price: 'VARCHAR'")}"""),
        Part("events", "[!m]*.jsonl*", f"""
            select user_id, parent_asin as item_id, timestamp, rating, 'review' as behavior,
                concat_ws('. ', nullif(title, ''), nullif(text, '')) as text
            from {_JSON.format("user_id: 'VARCHAR', parent_asin: 'VARCHAR', timestamp: 'BIGINT',"
                " rating: 'DOUBLE', title: 'VARCHAR', text: 'VARCHAR'")}"""),
    ),
)  # fmt: skip

# https://github.com/msnews/msnews.github.io/blob/master/assets/doc/introduction.md: clicks have
# the time of their impression; the history of a row has no times and is left out.
MIND = PublicFormat(
    "MIND: behaviors.tsv and news.tsv",
    (
        Part("events", "behaviors.tsv", f"""
            select impression || '-' || news as event_id, user_id, news as item_id,
                strptime(time, '%m/%d/%Y %I:%M:%S %p') as timestamp, 'read' as behavior,
                impression as session_id
            from (select impression, user_id, time, unnest(string_split(shown, ' ')) as answer,
                    regexp_replace(answer, '-[01]$', '') as news
                from {_csv("impression user_id time history shown", _TAB)})
            where answer like '%-1'"""),
        Part("items", "news.tsv", f"""
            select item_id, title, category || ', ' || subcategory as category,
                abstract as description
            from {_csv("item_id category subcategory title abstract url title_entities"
                " abstract_entities", _TAB)}"""),
    ),
)  # fmt: skip

# https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset: texts are hashed, so of an item
# only its newest category is read.
RETAILROCKET = PublicFormat(
    "RetailRocket: events.csv and item_properties_part1.csv, item_properties_part2.csv",
    (
        Part("events", "events.csv", """
            select visitorid::varchar as user_id, itemid::varchar as item_id, timestamp,
                case event when 'addtocart' then 'cart' when 'transaction' then 'buy'
                    else event end as behavior
            from read_csv($path, header = true)"""),
        Part("items", "item_properties_part*.csv", """
            select itemid as item_id, 'category ' || arg_max(value, timestamp::bigint) as category
            from read_csv($path, header = true, all_varchar = true)
            where property = 'categoryid' group by itemid"""),
    ),
)  # fmt: skip

FORMATS: dict[str, PublicFormat] = {
    "movielens": MOVIELENS,
    "amazon-reviews-2023": AMAZON_REVIEWS_2023,
    "mind": MIND,
    "retailrocket": RETAILROCKET,
}
