"""``python -m vertex_batch.cli``, where the script is not on the path."""

from __future__ import annotations

import sys

from vertex_batch.cli.main import main

sys.exit(main())
