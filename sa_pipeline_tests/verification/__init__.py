"""`sa-pipeline verify`: what it finds in datasets and exports of real runs."""
