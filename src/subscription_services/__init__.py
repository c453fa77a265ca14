"""A self-hosted subscription platform whose public security page is true by construction."""
