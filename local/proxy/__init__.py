"""The configuration of the local stack's LiteLLM proxy, and the parts of its database."""
