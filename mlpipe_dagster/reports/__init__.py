"""Reports: numbers into self-contained HTML pages and small plots, for three kinds of readers."""
