"""What the queries of a project read while its tables grow; both files run in the project."""
