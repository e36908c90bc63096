"""A table's images are copied with what the table says of them."""

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from adapters.label_tables import read_label_table
from adapters.table_columns import TableChoice
from adapters.table_copies import copy_table


def test_names_that_a_parquet_table_has_for_numbers_are_written(tmp_path: Path) -> None:
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes(name.encode())
    names = {"info": {"features": {"label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}}}
    table = pa.table({"path": ["0.png", "1.png"], "label": [1, 0], "age": [1, 0]})
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), tmp_path / "t.parquet")
    made = tmp_path / "made"
    made.mkdir()
    copy_table(read_label_table(tmp_path / "t.parquet"), TableChoice(), made, {".png"})
    assert (made / "metadata.csv").read_text() == "file_name,label,age\nimages/0.png,bee,1\nimages/1.png,ant,0\n"


def test_a_path_upwards_is_followed_from_where_a_link_leads(tmp_path: Path) -> None:
    for place in ("real/img", "img"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("0.png", "1.png"):
            (tmp_path / place / name).write_text(place)
    (tmp_path / "real/tables").mkdir()
    (tmp_path / "tables").symlink_to("real/tables")
    (tmp_path / "tables/t.csv").write_text("path,label\n../img/0.png,a\n../img/1.png,b\n")
    made = tmp_path / "made"
    made.mkdir()
    copy_table(read_label_table(tmp_path / "tables/t.csv"), TableChoice(), made, {".png"})
    assert (made / "images/0.png").read_text() == "real/img"
