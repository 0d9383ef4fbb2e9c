"""What a dataset says of itself: dataset card, annotation card, Croissant metadata."""
