"""One module per asset, named as the asset: what is done, without Dagster; each publishes one file."""
