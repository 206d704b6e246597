"""The only code that lists, opens, reads and writes objects. It does not depend on Airflow.

`ObjectStorage` is the main class. It lists a pattern once, with the size, generation and content encoding of
each object, reads many small objects at once and large ones a little ahead, and separates faults of the store
from bugs. `read_lines` is the one reader of rows.
"""

from vertex_batch.errors import ENVIRONMENT as ENVIRONMENT
from vertex_batch.storage.faults import named as named
from vertex_batch.storage.lines import BLOCK_BYTES as BLOCK_BYTES
from vertex_batch.storage.lines import BOM as BOM
from vertex_batch.storage.lines import GZIP_MAGIC as GZIP_MAGIC
from vertex_batch.storage.lines import GZIP_SUFFIXES as GZIP_SUFFIXES
from vertex_batch.storage.lines import MAX_LINE_BYTES as MAX_LINE_BYTES
from vertex_batch.storage.lines import TOO_LONG as TOO_LONG
from vertex_batch.storage.lines import Block as Block
from vertex_batch.storage.lines import Lines as Lines
from vertex_batch.storage.lines import blocks_in as blocks_in
from vertex_batch.storage.lines import lines_between as lines_between
from vertex_batch.storage.lines import lines_of as lines_of
from vertex_batch.storage.lines import read_lines as read_lines
from vertex_batch.storage.lines import split_lines as split_lines
from vertex_batch.storage.lines import unpacked as unpacked
from vertex_batch.storage.listing import has_wildcard as has_wildcard
from vertex_batch.storage.listing import is_local as is_local
from vertex_batch.storage.listing import list_below as list_below
from vertex_batch.storage.listing import look_up as look_up
from vertex_batch.storage.listing import names_like as names_like
from vertex_batch.storage.listing import path_of as path_of
from vertex_batch.storage.objects import SourceObject as SourceObject
from vertex_batch.storage.objects import fingerprint_of as fingerprint_of
from vertex_batch.storage.objects import without_duplicates as without_duplicates
from vertex_batch.storage.objects import written_after as written_after
from vertex_batch.storage.store import BIGQUERY_SCHEME as BIGQUERY_SCHEME
from vertex_batch.storage.store import DEFAULT_CONN_ID as DEFAULT_CONN_ID
from vertex_batch.storage.store import ObjectStorage as ObjectStorage
from vertex_batch.storage.store import as_storage as as_storage
from vertex_batch.storage.store import check_inputs as check_inputs
from vertex_batch.storage.store import check_output_bucket as check_output_bucket
from vertex_batch.storage.store import quiet_libraries as quiet_libraries
from vertex_batch.storage.streams import ByteStream as ByteStream
from vertex_batch.storage.streams import ObjectReader as ObjectReader
from vertex_batch.storage.streams import blocks_of as blocks_of
from vertex_batch.storage.streams import read_each as read_each
