"""What other systems see of jobs: metrics, lineage, links."""
