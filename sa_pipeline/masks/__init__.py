"""The mathematics of masks: run lengths, boxes, grids, crops, stability, suppression, clean-up."""
