"""One module per Dagster asset, named as the asset, in the order of the data."""
