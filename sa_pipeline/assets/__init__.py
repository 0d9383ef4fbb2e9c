"""One module per Dagster asset, named as the asset, in the order of the data."""

import warnings

import dagster as dg

# Observable source assets are marked beta; the one that is used here is pinned by a test.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*observable_source_asset.*")
