"""What other systems can see of jobs: metrics, lineage, links."""
