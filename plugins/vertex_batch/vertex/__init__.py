"""The requests and answers of Vertex's job service. `vertex_batch.vertex.client` sends them over HTTP."""
