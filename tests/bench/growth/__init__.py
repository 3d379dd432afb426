"""Count what the queries of a project read while its tables grow; these files run in the project."""
