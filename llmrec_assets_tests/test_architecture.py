"""The rules that keep the rooms apart, read from the sources and from a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import llmrec_assets
from llmrec_assets.definitions import GROUPS, STAGES, defs
from llmrec_assets.instance import instance_config
from llmrec_assets.serving import segments
from llmrec_assets.sql import s1_tables

PACKAGE = Path(llmrec_assets.__path__[0])
REPOSITORY = PACKAGE.parent

# Room → what it may import of the package.
ALLOWED = {
    "core": {"core"},
    "sql": {"sql", "core"},
    # sql: the warehouse migrates a store that it opens.
    "resources": {"resources", "sql", "core", "layout", "published", "settings"},
    "assets": {"assets", "operations", "sql", "resources", "core", "published", "settings"},
    "automation": {"automation", "assets", "resources", "core", "settings"},
    "datasets": {"datasets", "core", "layout"},
    "operations": {
        "operations",
        "sql",
        "resources",
        "serving",
        "core",
        "layout",
        "published",
        "run_health",
    },
    "serving": {"serving", "core", "layout", "published", "settings"},
    "commands": {
        "commands",
        "operations",
        "serving",
        "datasets",
        "sql",
        "resources",
        "definitions",
        "instance",
        "layout",
        "settings",
    },
    "simulation": {
        "simulation",
        "automation",
        "assets",
        "sql",
        "resources",
        "datasets",
        "core",
        "layout",
        "definitions",
        "instance",
    },
}


def imported(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_run_one_way(room):
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in (PACKAGE / room).rglob("*.py")
        for name in imported(file)
        if name.startswith("llmrec_assets.") and name.split(".")[1] not in ALLOWED[room]
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("room", "unknown"),
    [
        ("core", {"dagster", "duckdb", "mlflow"}),
        ("sql", {"dagster", "mlflow"}),
        ("serving", {"dagster", "duckdb", "mlflow"}),
    ],
)
def test_rooms_do_not_know_what_is_not_theirs(room, unknown):
    found = {
        name.split(".")[0] for file in (PACKAGE / room).rglob("*.py") for name in imported(file)
    }
    assert not found & unknown


def test_the_service_and_the_warehouse_call_its_files_alike():
    assert s1_tables.SERVED_PREFIX == segments.PREFIX


def test_the_service_loads_no_pipeline():
    code = (
        "import sys, llmrec_assets.serving.run;"
        "print(*({'dagster', 'mlflow', 'duckdb', 'sentence_transformers', 'sklearn',"
        " 'llmrec_assets.assets', 'llmrec_assets.resources'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_definitions_load_without_heavy_libraries():
    code = (
        "import sys, llmrec_assets.definitions;"
        "print(*({'torch', 'mlflow', 'sentence_transformers', 'sklearn', 'scipy', 'matplotlib',"
        " 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_graph_is_the_flow():
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.external_asset_keys} == {
        "event_log",
        "item_log",
        "feedback_log",
    }
    order = [k.to_user_string() for k in graph.toposorted_asset_keys]
    flow = [
        "event_log",
        "raw_events",
        "clean_events",
        "user_sequences",
        "text_features",
        "fused_features",
        "temporal_model",
        "model_evaluation",
        "champion_model",
        "recommendations",
        "feedback",
    ]
    assert [name for name in order if name in flow] == flow
    groups = {graph.get(key).group_name for key in graph.materializable_asset_keys}
    assert groups == set(GROUPS)


def test_the_daily_flow_is_the_stages_without_the_studies():
    graph = defs.resolve_asset_graph()
    steps = {step.name for step in defs.resolve_job_def("full_loop").graph.nodes}
    assert {
        graph.get(key).group_name
        for key in graph.materializable_asset_keys
        if key.to_user_string() in steps
    } == set(STAGES)
    assert not {"text_ablation", "loop_utility"} & steps


def test_every_asset_is_described_owned_and_has_columns():
    graph = defs.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        columns = node.metadata["dagster/column_schema"].columns
        assert all(column.description for column in columns), key


def test_dagster_yaml_is_the_instance_of_the_default_root():
    text = (REPOSITORY / "dagster.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == instance_config("data/dagster")


def test_column_lineage_names_columns_that_exist():
    graph = defs.resolve_asset_graph()
    columns = {
        key: {c.name for c in graph.get(key).metadata["dagster/column_schema"].columns}
        for key in graph.materializable_asset_keys
    }
    for key in graph.materializable_asset_keys:
        lineage = graph.get(key).metadata["dagster/column_lineage"].deps_by_column
        for deps in lineage.values():
            for dep in deps:
                assert graph.has(dep.asset_key), (key, dep)
                assert dep.column_name in columns.get(dep.asset_key, {dep.column_name}), (key, dep)
