"""What developers run: documents and their pictures, benches, chaos."""
