"""Pictures and pages: contact sheets, mask overlays, histograms, the HTML report."""
