"""Films and news, in the form in which they are published."""

from llmrec_assets.datasets.public_format import Part, PublicFormat, csv_of

_BAR = "delim = '|', header = false, quote = '', encoding = 'ENCODING'"
TAB = "delim = '\t', header = false, quote = ''"
_GENRES = (
    "unknown Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Noir"
    " Horror Musical Mystery Romance SciFi Thriller War Western"
)

# https://files.grouplens.org/datasets/movielens: the csv form (ml-latest, ml-25m, ml-32m), the
# form of 100k, and that of 1m and 10m, whose fields are separated by two colons. 1m and 100k are in
# Latin-1, all others in UTF-8.
_DOUBLE_COLON = (
    "read_csv($path, columns = {'line': 'VARCHAR'}, auto_detect = false, delim = '\x01',"
    " header = false, quote = '', encoding = 'ENCODING')"
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
                'rate' as behavior from {csv_of("user_id item_id rating timestamp", TAB)}"""),
        Part("items", "u.item", f"""
            select item_id, title, nullif(concat_ws(', ', {", ".join(
                f"case when {genre} = '1' then '{genre}' end" for genre in _GENRES.split()
            )}), '') as category
            from {csv_of(f"item_id title released video url {_GENRES}", _BAR)}"""),
        Part("events", "ratings.dat", f"""
            select part[1] as user_id, part[2] as item_id, part[4]::bigint as timestamp,
                part[3]::double as rating, 'rate' as behavior
            from (select string_split(line, '::') as part from {_DOUBLE_COLON})"""),
        Part("items", "movies.dat", f"""
            select part[1] as item_id, part[2] as title, replace(part[3], '|', ', ') as category
            from (select string_split(line, '::') as part from {_DOUBLE_COLON})"""),
    ),
)  # fmt: skip


# https://github.com/msnews/msnews.github.io/blob/master/assets/doc/introduction.md: clicks have
# the time of their impression; the history of a row has no times and is left out. Impressions are
# numbered from 1 in each split, so that they name no event.
def _answers(behavior: str, ending: int) -> str:
    return f"""
        select user_id, regexp_replace(answer, '-[01]$', '') as item_id,
            strptime(time, '%m/%d/%Y %I:%M:%S %p') as timestamp, '{behavior}' as behavior,
            impression as session_id
        from (select impression, user_id, time, unnest(string_split(shown, ' ')) as answer
            from {csv_of("impression user_id time history shown", TAB)})
        where answer like '%-{ending}'"""


MIND = PublicFormat(
    "MIND: behaviors.tsv and news.tsv",
    (
        Part(
            "events", "behaviors.tsv", _answers("read", 1),
            impressions=_answers("impression", 0),
        ),
        Part("items", "news.tsv", f"""
            select item_id, title, category || ', ' || subcategory as category,
                abstract as description
            from {csv_of("item_id category subcategory title abstract url title_entities"
                " abstract_entities", TAB)}"""),
    ),
)  # fmt: skip
