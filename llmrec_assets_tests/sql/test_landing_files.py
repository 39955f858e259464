"""Files of every format and every defect, as text columns with lines and reasons."""

import gzip

import duckdb
import pandas as pd
import pytest

from llmrec_assets.sql.landing_files import stage_file, unstage
from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.landing_values import (
    FileTime,
    detect_time,
    number,
    number_problem,
    typed_time,
)

HEADER = "user_id,item_id,timestamp,rating\n"


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def stage(connection, tmp_path):
    """Stage content under a name."""

    def staged(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return stage_file(
            connection,
            path,
            required=("user_id", "item_id", "timestamp"),
            optional=("rating",),
            ids=("user_id", "item_id"),
        )

    return staged


def rows(connection, staged, columns="line, problem, user_id"):
    return connection.execute(f"select {columns} from {staged.view} order by line").fetchall()


def rejects(connection, staged):
    query = f"select line, reason from {staged.rejects} order by line"
    return connection.execute(query).fetchall()


def times(connection, stage, *values):
    """Kind, then the time, step or problem of each value."""
    staged = stage("t.csv", HEADER + "".join(f'u,i,"{value}",\n' for value in values))
    time = detect_time(connection, staged.view)
    query = f"""select coalesce(time_utc::varchar, time_step::varchar, time_problem)
        from ({typed_time(staged.view, time)}) order by line"""
    return time, [row[0] for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "\n\n", "empty"),
        ("a.parquet", "", "empty"),
        ("a.jsonl", "", "empty"),
        ("a.csv", HEADER, "no rows, only a header"),
        ("a.csv", "who,what\n1,2\n", r"missing: user_id, item_id, timestamp \(found: none of them"),
        ("a.jsonl", '{"user_id": 1}\n', r"missing: item_id, timestamp \(found: user_id"),
        ("a.csv", "User_ID," + HEADER + "1,1,2,3,4\n", "user_id is there twice"),
        ("a.csv", (HEADER + "1,中,3,4\n").encode("utf-16"), "re-encode the file as UTF-8"),
        ("a.csv", (HEADER + "1,2,3,4\n").encode("utf-16-le"), "re-encode the file as UTF-8"),
        ("a.csv", "用户,物品\n1,2\n".encode("gbk"), "re-encode the file as UTF-8"),
        ("a.csv", HEADER.replace("\n", "\r") + "1,2,3,4\r", "CR only"),
        ("a.parquet", "PAR1 and no more", "cannot be read"),
        ("a.csv.gz", "not compressed", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"x" * 9999, mtime=0)[:20], "cannot be read"),
        ("a.json", '[{"user_id": 1,', "cannot be read"),
        ("README", "hello", "unknown kind of file"),
        ("a.xlsx", "hello", "unknown kind of file"),
    ],
)
def test_a_bad_file_says_why_and_leaves_the_transaction_usable(
    connection, stage, name, content, reason
):
    connection.begin()
    with pytest.raises(BadFile, match=reason):
        stage(name, content)
    assert connection.execute("select 1").fetchall() == [(1,)]
    connection.commit()


def test_half_a_parquet_file_is_bad(stage, tmp_path):
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [1]})
    frame.to_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(BadFile, match="cannot be read"):
        stage("half.parquet", content[: len(content) // 2])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_dialects_of_csv_are_the_same(connection, stage, separator, line_end, mark):
    text = " User_ID ,ITEM_ID,timestamp,rating\n 007 ,中文,1,4.5\n".replace(",", separator)
    staged = stage("a.csv", mark + text.replace("\n", line_end).encode())
    found = rows(connection, staged, "line, user_id, item_id, timestamp, rating, problem")
    assert found == [(2, "007", "中文", "1", "4.5", None)]


def test_only_malformed_rows_are_rejected_and_lines_stay_right(connection, stage):
    staged = stage(
        "a.csv",
        HEADER + '1,i,"multi\n\nline",1\n'  # lines 2 to 4
        "\n"
        "2,i,1\n"
        "3,i,1,1,1\n"
        '4,i,"never closed,1\n'
        "5,i,1,1\r\n"
        '6,"a ""b"" c",1,1\n'
        '7,"a"b,1,1\n'
        "8,i,1,1",
    )
    found = rows(connection, staged, "line, user_id, item_id")
    assert found == [(2, "1", "i"), (9, "5", "i"), (10, "6", 'a "b" c'), (12, "8", "i")]
    assert rejects(connection, staged) == [
        (6, "wrong number of columns (3, the header has 4)"),
        (7, "wrong number of columns (5, the header has 4)"),
        (8, "a quote is not closed"),
        (11, "a quote is not closed"),
    ]
    assert staged.rows == 8


def test_line_breaks_in_fields_are_counted_on_the_fast_path_too(connection, stage):
    staged = stage("a.csv", HEADER + '1,"a\nb\nc",1,1\n2,i,1,1\n3,"d\ne",1,"x\ny"\n4,i,1,1\n')
    found = rows(connection, staged, "line, user_id")
    assert found == [(2, "1"), (5, "2"), (6, "3"), (9, "4")]


def test_an_unclosed_quote_in_a_large_file_costs_one_row(connection, stage):
    lines = [f"{i},i,{i},1\n" for i in range(300_000)]
    lines[150_000] = '150000,"i,150000,1\n'
    staged = stage("a.csv", HEADER + "".join(lines))
    assert rejects(connection, staged) == [(150_002, "a quote is not closed")]
    checked = f"select count(*), bool_and(line = user_id::bigint + 2) from {staged.view}"
    assert connection.execute(checked).fetchall() == [(299_999, True)]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_rows_that_are_not_utf_8_are_rejected_alone(connection, stage, name):
    row = {"a.csv": "{},中,1,1\n", "a.jsonl": '{{"user_id":"{}","item_id":"中","timestamp":1}}\n'}
    good, bad = row[name].format("good").encode(), row[name].format("bad").encode("gbk")
    head = HEADER.encode() if name == "a.csv" else b""
    staged = stage(name, head + good + bad + good)
    at = 3 if head else 2
    assert rejects(connection, staged) == [(at, "not UTF-8; re-encode the file as UTF-8")]
    assert [row[2] for row in rows(connection, staged)] == ["good", "good"]


@pytest.mark.parametrize("size", [257, 1_000_000, 3_000_000])
def test_a_huge_id_is_rejected(connection, stage, size):
    staged = stage("a.csv", HEADER + "x" * size + ",i,1,1\nu,i,1,1\n")
    problems = [row[1] for row in rows(connection, staged) if row[1]]
    problems += [reason for _, reason in rejects(connection, staged)]
    assert len(problems) == 1
    assert "is longer than" in problems[0]
    assert staged.rows == 2


def test_json_keeps_ids_exact_and_rejects_broken_lines(connection, stage):
    staged = stage(
        "a.ndjson",
        '{"User_Id":"007","item_id":123456789012345678901,"timestamp":1,"b/~\\"":[1]}\n'
        "{broken\n"
        "\n"
        "[1]\n"
        '{"User_Id":1001.0,"item_id":1.5,"timestamp":2}\n'
        '{"User_Id":"1001.0","item_id":"\\u4e2d","timestamp":null}\n'
        '{"User_Id":"cut',
    )
    assert rows(connection, staged, "line, problem, user_id, item_id, others") == [
        (1, None, "007", "123456789012345678901", '{"b/~\\"":"[1]"}'),
        (5, "item_id is a number with a fraction", "1001", "1.5", None),
        (6, "timestamp is empty", "1001.0", "中", None),
    ]
    assert rejects(connection, staged) == [(n, "not a JSON object") for n in (2, 4, 7)]
    assert staged.ignored_columns == ('b/~"',)


@pytest.mark.parametrize("content", ['[{"user_id":"u","item_id":1,\n"timestamp":"5"}]'])
def test_an_array_of_objects_is_read(connection, stage, content):
    assert rows(connection, stage("a.json", content)) == [(1, None, "u")]


def test_parquet_floats_become_integers_or_problems(connection, stage, tmp_path):
    frame = pd.DataFrame(
        {
            "user_id": [1001.0, 1.5, None],
            "item_id": [2**60, 1, 2],
            "timestamp": pd.to_datetime(["2024-01-01 08:00"] * 3).tz_localize("Asia/Shanghai"),
            'my "own"': ["x", "", None],
        }
    )
    frame.to_parquet(tmp_path / "b.parquet")
    staged = stage("a.parquet", (tmp_path / "b.parquet").read_bytes())
    assert rows(connection, staged, "line, problem, user_id, item_id, timestamp, others") == [
        (1, None, "1001", str(2**60), "2024-01-01 00:00:00", '{"my \\"own\\"":"x"}'),
        (2, "user_id is a number with a fraction", "1.5", "1", "2024-01-01 00:00:00", None),
        (3, "user_id is empty", None, "2", "2024-01-01 00:00:00", None),
    ]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_compressed_files_are_read(connection, stage, name):
    text = {
        "a.csv.gz": HEADER + "u,i,1,\n",
        "a.jsonl.gz": '{"user_id":"u","item_id":"i","timestamp":1}\n',
    }[name]
    assert rows(connection, stage(name, gzip.compress(text.encode())), "user_id") == [("u",)]


def test_unstage_frees_the_file(connection, stage):
    staged = stage("a.csv", HEADER + "u,i,1,\n")
    unstage(connection, staged)
    with pytest.raises(duckdb.Error):
        rows(connection, staged)


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("seconds", "1705312800"),
        ("seconds", "1705312800.0"),
        ("milliseconds", "1705312800000"),
        ("microseconds", "1705312800000000"),
        ("nanoseconds", "1705312800000000999"),
        ("iso", "2024-01-15T10:00:00Z"),
        ("iso", "2024-01-15 10:00"),
        ("iso", "2024-01-15T18:00:00+08:00"),
        ("iso", "2024-01-15T05:00:00.000-0500"),
        ("iso", "20240115T100000Z"),
        ("iso", " 2024/01/15 10:00:00,000 "),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_absolute_times_are_utc_whatever_the_session(connection, stage, unit, value, zone):
    connection.execute(f"set timezone = '{zone}'")
    assert times(connection, stage, value) == (
        FileTime("absolute", unit),
        ["2024-01-15 10:00:00"],
    )


def test_the_majority_decides_what_numbers_mean(connection, stage):
    assert times(connection, stage, "0", "1", "20000000", "-1", "1.5", "1705312800", "x") == (
        FileTime("relative", "step"),
        [
            "0",
            "1",
            "20000000",
            "timestamp is a step below 0",
            "timestamp is not a whole step",
            "timestamp is absolute in a file of relative steps",
            "timestamp cannot be read as a time",
        ],
    )
    assert times(connection, stage, "20240115", "20240116", "2024-01-17", "5", "NaN") == (
        FileTime("absolute", "basic date"),
        [
            "2024-01-15 00:00:00",
            "2024-01-16 00:00:00",
            "2024-01-17 00:00:00",
            "timestamp is a relative step in a file of absolute times",
            "timestamp cannot be read as a time",
        ],
    )
    assert times(connection, stage, "1705312800", "1705312801.25", "0", "2024-01-17")[1] == [
        "2024-01-15 10:00:00",
        "2024-01-15 10:00:01.25",
        "1970-01-01 00:00:00",
        "2024-01-17 00:00:00",
    ]


def test_years_1_and_9999_are_the_limits(connection, stage):
    values = [
        "0001-01-01",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00+08:00",
        "9" * 30,
        "2024-02-30",
    ]
    assert times(connection, stage, *values)[1] == [
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "timestamp is outside the years 1 to 9999",
        "timestamp is outside the years 1 to 9999",
        "timestamp cannot be read as a time",
    ]


@pytest.mark.parametrize(
    ("text", "value", "problem"),
    [
        ("4.50", 4.5, None),
        (" 1e-3 ", 0.001, None),
        *[(word, None, None) for word in ("", "NaN", "null", "NA", "None", "nan")],
        *[(word, None, "x is not a number") for word in ("five", "inf", "1e999", "1_000", "1,5")],
    ],
)
def test_numbers(connection, text, value, problem):
    query = f"select {number('x')}, {number_problem('x')} from (select nullif(?, '') as x)"
    found, why = connection.execute(query, [text]).fetchall()[0]
    assert why == problem
    assert problem or found == value
