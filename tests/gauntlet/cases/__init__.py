"""The faults, a file per theme. Their numbers are those of the list that the engines' own tests add up to."""
