"""The only code that lists, opens, reads and writes objects. It does not depend on Airflow.

`ObjectStorage` is the main class. It lists a pattern once, with the size, generation and content encoding of
each object, reads many small objects at once and large ones a little ahead, and separates faults of the store
from bugs. `read_lines` is the one reader of rows.
"""

from vertex_batch.storage.batches import read_each
from vertex_batch.storage.faults import fault_of, named
from vertex_batch.storage.lines import (
    BLOCK_BYTES,
    BOM,
    GZIP_MAGIC,
    GZIP_SUFFIXES,
    MAX_LINE_BYTES,
    TOO_LONG,
    Block,
    Lines,
    blocks_in,
    lines_between,
    lines_of,
    read_lines,
    split_lines,
    unpacked,
)
from vertex_batch.storage.listing import (
    has_wildcard,
    is_local,
    list_below,
    list_objects,
    literal_wildcard_problem,
    look_up,
    path_of,
)
from vertex_batch.storage.objects import SourceObject, fingerprint_of, object_count, without_duplicates
from vertex_batch.storage.store import (
    BIGQUERY_SCHEME,
    DEFAULT_CONN_ID,
    Head,
    ObjectStorage,
    as_storage,
    check_inputs,
    check_output_bucket,
    quiet_libraries,
)
from vertex_batch.storage.streams import FETCH_BYTES, ByteStream, ObjectReader

__all__ = [
    "BIGQUERY_SCHEME",
    "BLOCK_BYTES",
    "BOM",
    "DEFAULT_CONN_ID",
    "FETCH_BYTES",
    "GZIP_MAGIC",
    "GZIP_SUFFIXES",
    "MAX_LINE_BYTES",
    "TOO_LONG",
    "Block",
    "ByteStream",
    "Head",
    "Lines",
    "ObjectReader",
    "ObjectStorage",
    "SourceObject",
    "as_storage",
    "blocks_in",
    "check_inputs",
    "check_output_bucket",
    "fault_of",
    "fingerprint_of",
    "has_wildcard",
    "is_local",
    "lines_between",
    "lines_of",
    "list_below",
    "list_objects",
    "literal_wildcard_problem",
    "look_up",
    "named",
    "object_count",
    "path_of",
    "quiet_libraries",
    "read_each",
    "read_lines",
    "split_lines",
    "unpacked",
    "without_duplicates",
]
