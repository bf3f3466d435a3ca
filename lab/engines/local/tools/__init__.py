"""Programs for services' healthchecks; run by themselves, with the standard library only."""
