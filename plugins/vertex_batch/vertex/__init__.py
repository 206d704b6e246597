"""What Vertex's job service says and is asked. `vertex_batch.vertex.client` carries it over HTTP."""
